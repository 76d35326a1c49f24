// Training with fused operators beside training with libtorch's alone: the same curve to rounding.
import { expect, it } from 'vitest';
import { flowMatchingLoss } from '../diffusion/index.ts';
import { DiTwDDTHead } from '../models/dit-dh.ts';
import { AdamW, Ema } from '../optim/index.ts';
import { autocast, backward, Generator, keep, randn, type Tensor, tensor, tidy, withFused } from '../tensor/index.ts';
import { applyUpdate } from './update.ts';

const B = 4;

/** Losses of training on fixed latents, and the averaged weights after it. */
function train(fused: boolean, { steps, bf16 = false }: { steps: number; bf16?: boolean }) {
  return withFused(fused, () => {
    const generator = new Generator(3);
    const options = { inputSize: 3, inChannels: 8, depth: [2, 1], numHeads: [2, 2], numClasses: 4 } as const;
    const model = new DiTwDDTHead({ ...options, hiddenSize: [24, 32], classDropoutProb: 0, generator }).train();
    const params = model.namedParameters();
    const optimizer = new AdamW(params, { lr: 2e-3, betas: [0.9, 0.95], weightDecay: 0.01 });
    const ema = new Ema(model, { decay: 0.99 });
    const data = keep(randn([B, 8, 3, 3], { generator }));
    const y = keep(tensor([0, 1, 2, 3], { dtype: 'i64' }));
    const losses = Array.from({ length: steps }, (_, step) =>
      tidy(() => {
        const predict = (x: Tensor, t: Tensor) => autocast({ enabled: bf16 }, () => model.forward(x, t, y));
        const mean = flowMatchingLoss(predict, data, { generator }).loss.mean();
        backward(mean);
        applyUpdate({ params, optimizer, ema, step, lr: 2e-3, clip: 1, loss: mean.item() });
        return mean.item();
      }),
    );
    const weights = new Map([...ema.stateDict()].map(([key, t]) => [key, t.toNumbers()]));
    for (const owner of [model, optimizer, ema, data, y]) owner.dispose();
    return { losses, weights };
  });
}

const furthest = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((v, i) => Math.abs(v - b[i]!)));

it('200 steps with fused operators give the losses of libtorch within rounding, and the same average', () => {
  const [ours, theirs] = [train(true, { steps: 200 }), train(false, { steps: 200 })];
  expect(theirs.losses.at(-1)).toBeLessThan(theirs.losses[0]! * 0.8);
  expect(furthest(ours.losses, theirs.losses)).toBeLessThan(1e-3);
  for (const [key, values] of theirs.weights) {
    expect(furthest(ours.weights.get(key)!, values), key).toBeLessThan(2e-3);
  }
});

it('fused training gives the same bits every time', () => {
  expect(train(true, { steps: 5 })).toEqual(train(true, { steps: 5 }));
});

it('a bfloat16 run stays near libtorch, whose bfloat16 rounds more often', () => {
  const [ours, theirs] = [train(true, { steps: 20, bf16: true }), train(false, { steps: 20, bf16: true })];
  expect(furthest(ours.losses, theirs.losses)).toBeLessThan(0.05);
});
