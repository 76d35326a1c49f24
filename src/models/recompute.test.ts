// Activation checkpointing in both generators: what recomputing() must not change, and what it must save.

import { expect, test } from 'vitest';
import {
  autocast,
  backward,
  Generator,
  memoryStats,
  noGrad,
  randn,
  recomputing,
  tensor,
  tidy,
} from '../tensor/index.ts';
import { LightningDiT } from './dit.ts';
import { DiTwDDTHead } from './dit-dh.ts';
import type { Stage2Model } from './stage2.ts';

const generator = new Generator(0);
const shared = { inputSize: 4, inChannels: 8, numClasses: 5, generator };
const models: [string, Stage2Model][] = [
  ['LightningDiT', new LightningDiT({ ...shared, hiddenSize: 32, depth: 6, numHeads: 4 })],
  ['DiTwDDTHead', new DiTwDDTHead({ ...shared, hiddenSize: [32, 48], depth: [5, 2], numHeads: [4, 4] })],
];
for (const [, model] of models) {
  noGrad(() => tidy(() => model.parameters().map((p) => p.add_(randn(p.shape, { generator }).mul(0.1)))));
}
const x = randn([8, 8, 4, 4], { generator });
const t = tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]);
const y = tensor([0, 1, 2, 3, 4, 0, 1, 2], { dtype: 'i64' });

function step(model: Stage2Model, { enabled, bf16 = false }: { enabled: boolean; bf16?: boolean }) {
  for (const p of model.parameters()) p.setGrad(undefined);
  let held = 0;
  const loss = recomputing({ enabled }, () =>
    tidy(() => {
      const before = memoryStats().bytes;
      const loss = autocast({ enabled: bf16 }, () => model.eval().forward(x, t, y))
        .to('f32')
        .square()
        .mean();
      held = memoryStats().bytes - before;
      backward(loss);
      return loss.item();
    }),
  );
  const grads = model.namedParameters().map(([name, p]) => [name, tidy(() => p.grad?.toNumbers())]);
  return { held, result: { loss, grads } };
}

test.each(models.flatMap(([name, model]) => [false, true].map((bf16) => ({ name, model, bf16 }))))(
  '$name: every gradient is the same bits with blocks computed again (bf16: $bf16)',
  ({ model, bf16 }) => {
    expect(step(model, { enabled: true, bf16 }).result).toEqual(step(model, { enabled: false, bf16 }).result);
  },
);

test.each(models)('%s holds a fraction of the memory between forward and backward', (_, model) => {
  // The allocator's count covers the whole process, whose garbage comes and goes: hence the middle of five.
  const middle = (enabled: boolean) =>
    Array.from({ length: 5 }, () => step(model, { enabled }).held).sort((a, b) => a - b)[2]!;
  expect(middle(true) / middle(false)).toBeLessThan(0.3);
});
