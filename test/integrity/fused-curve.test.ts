// Whether operators of our own change what training does: 200 steps of a small DiT^DH with them and without, from the same start. Two
// orders of the same float32 sums drift apart, so the measure is a third run: composed, from weights off by one rounding.
import { expect, it } from 'vitest';
import { flowMatchingLoss } from '../../src/diffusion/index.ts';
import { DiTwDDTHead } from '../../src/models/dit-dh.ts';
import { AdamW, Ema } from '../../src/optim/index.ts';
import { backward, Generator, manualSeed, noGrad, randn, tensor, tidy, withFused } from '../../src/tensor/index.ts';
import { applyUpdate } from '../../src/train/update.ts';

const STEPS = 200;

function losses({ fused, off = 0 }: { fused: boolean; off?: number }): number[] {
  return withFused(fused, () =>
    tidy(() => {
      const generator = new Generator(1);
      const sizes = { inputSize: 3, inChannels: 8, numClasses: 4 };
      const model = new DiTwDDTHead({ ...sizes, hiddenSize: [32, 32], depth: [2, 1], numHeads: [2, 2], generator });
      const params = model.train().namedParameters();
      noGrad(() => params.forEach(([, p]) => void p.normal_(0, 0.05, { generator }).mul_(1 + off)));
      const optimizer = new AdamW(params, { lr: 2e-3, betas: [0.9, 0.95], weightDecay: 0 });
      const ema = new Ema(model, { decay: 0.99 });
      const data = randn([8, 8, 3, 3], { generator });
      const y = tensor([0, 1, 2, 3, 0, 1, 2, 3], { dtype: 'i64' });
      manualSeed(2); // of times and noise
      return Array.from({ length: STEPS }, (_, step) =>
        tidy(() => {
          const { loss } = flowMatchingLoss((x, t) => model.forward(x, t, y), data, { shift: 1 });
          const mean = loss.mean();
          backward(mean);
          const value = mean.item();
          applyUpdate({ params, optimizer, ema, step, lr: 2e-3, clip: 1, loss: value });
          return value;
        }),
      );
    }),
  );
}

it('200 steps with fused operators give the loss curve of composed ones, within what rounding does', () => {
  const [composed, fused, rounded] = [
    losses({ fused: false }),
    losses({ fused: true }),
    losses({ fused: false, off: 2 ** -23 }),
  ];
  const apart = (curve: readonly number[]) => Math.max(...curve.map((loss, i) => Math.abs(loss / composed[i]! - 1)));
  expect(composed.at(-1)).toBeLessThan(0.8 * composed[0]!);
  expect(apart(fused)).toBeGreaterThan(0); // both ways were taken
  expect(apart(fused)).toBeLessThan(10 * Math.max(apart(rounded), 2 ** -23)); // 1.7e-6 and 6.7e-7 where it was written
});
