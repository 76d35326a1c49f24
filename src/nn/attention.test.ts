import { expect, test } from 'vitest';
import { backward, Generator, randn, tidy } from '../tensor/index.ts';
import { attention } from './attention.ts';

test('short bf16 sequences that are trained give the values and gradients of float32 attention', () => {
  tidy(() => {
    const generator = new Generator(0);
    const exact = Array.from({ length: 3 }, () => randn([2, 3, 20, 16], { generator }).to('bf16').to('f32'));
    const short = exact.map((x) => x.to('bf16').setRequiresGrad());
    for (const x of exact) x.setRequiresGrad();
    const outputs = [exact, short].map(([q, k, v]) => attention(q!, k!, v!));
    const weights = randn([2, 3, 20, 16], { generator });
    for (const y of outputs) backward(y.to('f32').mul(weights).sum());
    expect(outputs[1]!.dtype).toBe('bf16');
    expect(outputs[0]!.sub(outputs[1]!).abs().max().item()).toBeLessThan(0.01);
    for (const [i, x] of exact.entries()) {
      expect(x.grad!.sub(short[i]!.grad!).abs().max().item()).toBeLessThan(0.03);
    }
  });
});
