import { describe, expect, test } from 'vitest';
import { backward, Generator, randn, tensor, tidy, zeros } from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { fromVelocity, toVelocity } from './convert.ts';
import { flowMatchingLoss, type LossWeight } from './flow-matching.ts';
import { gvp, linear, velocityTarget } from './path.ts';

describe('flowMatchingLoss', () => {
  test('it is 0 for the true velocity and 1 a sample when that is off by 1', () => {
    tidy(() => {
      const [data, noise, t] = [randn([2, 3, 4]), randn([2, 3, 4]), tensor([0.2, 0.9])];
      const truth = velocityTarget(linear, data, noise, t);
      expect(flowMatchingLoss(() => truth, data, { noise, t }).loss.toNumbers()).toEqual([0, 0]);
      const off = flowMatchingLoss(() => truth.add(1), data, { noise, t }).loss;
      for (const value of off.toNumbers()) expect(value).toBeCloseTo(1, 5);
    });
  });

  test('the network sees x_t and the shifted times', () => {
    tidy(() => {
      const data = randn([64, 2]);
      const { t } = flowMatchingLoss((xt) => xt, data, { shift: 50, generator: new Generator(0) });
      expect(t.shape).toEqual([64]);
      expect(t.mean().item()).toBeGreaterThan(0.9);
    });
  });

  test('the same generator state gives the same loss, and noise is drawn before times', () => {
    const run = () =>
      tidy(() => flowMatchingLoss((xt) => xt, zeros([4, 8]), { generator: new Generator(7) }).loss.toNumbers());
    expect(run()).toEqual(run());
    tidy(() => {
      const generator = new Generator(7);
      const noise = randn([4, 8], { generator });
      const { loss } = flowMatchingLoss((xt) => xt, zeros([4, 8]), { noise, generator });
      expect(loss.toNumbers()).toEqual(run());
    });
  });

  test('gradients reach the network', () => {
    tidy(() => {
      const weight = tensor([1]).setRequiresGrad();
      const { loss } = flowMatchingLoss((xt) => xt.mul(weight), randn([4, 8]), { generator: new Generator(1) });
      backward(loss.mean());
      expect(Math.abs(weight.grad!.item())).toBeGreaterThan(0);
    });
  });

  test.each(['noise', 'score', 'data'] as const)("the velocity weight makes a %s loss the velocity's", (prediction) => {
    tidy(() => {
      for (const path of [linear, gvp]) {
        const options = { dtype: 'f64' } as const;
        const [data, noise] = [randn([3, 5], options), randn([3, 5], options)];
        const t = tensor([0.2, 0.5, 0.9], options);
        const guess = randn([3, 5], options);
        let velocityLoss = 0;
        const { loss } = flowMatchingLoss(
          (xt) => {
            velocityLoss = toVelocity(path, prediction, guess, xt, t)
              .sub(velocityTarget(path, data, noise, t))
              .square()
              .mean()
              .item();
            return guess;
          },
          data,
          { path, prediction, weight: 'velocity', t, noise },
        );
        expect(loss.mean().item()).toBeCloseTo(velocityLoss, 8);
      }
    });
  });

  test('likelihood weights are positive unless the reference is asked for', () => {
    tidy(() => {
      const [data, noise, t] = [randn([2, 3]), randn([2, 3]), tensor([0.2, 0.9])];
      const run = (reference: boolean) =>
        flowMatchingLoss((xt) => fromVelocity(linear, 'noise', xt, xt, t), data, {
          prediction: 'noise',
          weight: 'likelihood',
          reference,
          t,
          noise,
        });
      const [ours, theirs] = [run(false).loss.toNumbers(), run(true).loss.toNumbers()];
      expect(ours.every((value) => value > 0)).toBe(true);
      expect(theirs).toEqual(ours.map((value) => -value));
    });
  });

  test.each([
    ['velocity', 'likelihood'],
    ['data', 'likelihood'],
  ] as const)('%s prediction refuses the weight %s', (prediction, weight: LossWeight) => {
    tidy(() => {
      expect(() => flowMatchingLoss((xt) => xt, zeros([1, 2]), { prediction, weight })).toThrow(ArgumentError);
      expect(() => flowMatchingLoss((xt) => xt, zeros([1, 2]), { prediction, weight })).toThrow(
        "expected loss_weight 'none' or 'velocity'",
      );
    });
  });

  test('noise or a prediction of another shape is named', () => {
    tidy(() => {
      expect(() => flowMatchingLoss((xt) => xt, zeros([1, 2]), { noise: zeros([2]) })).toThrow(ShapeError);
      expect(() => flowMatchingLoss((xt) => xt.narrow(1, 0, 1), zeros([1, 2]))).toThrow(
        'expected a prediction of shape [1,2], received [1, 1].',
      );
    });
  });
});
