// Every path with every prediction, on data whose best prediction is known in closed form: N(m, c) in one dimension.

import { describe, expect, test } from 'vitest';
import { Generator, randn, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { toVelocity } from './convert.ts';
import { flowMatchingLoss } from './flow-matching.ts';
import { gvp, linear, over, type Path, vp } from './path.ts';
import { sampleOde } from './samplers/index.ts';
import { type Prediction, referenceGrid, samplingInterval } from './time.ts';

const [MEAN, VARIANCE] = [1.5, 0.25];
const predictions = ['velocity', 'noise', 'score', 'data'] as const;
const noise = randn([1000, 1], { generator: new Generator(0) });

/** What a perfect network of this kind says of `x` [B, 1] at `t` [B] or [1]: the posterior mean. */
function best(path: Path, prediction: Prediction, x: Tensor, t: Tensor): Tensor {
  const [alpha, sigma] = [over(path.alpha(t), x), over(path.sigma(t), x)];
  const spread = alpha.square().mul(VARIANCE).add(sigma.square());
  const off = x.sub(alpha.mul(MEAN)).div(spread);
  const data = off.mul(alpha).mul(VARIANCE).add(MEAN);
  const noise = off.mul(sigma);
  if (prediction === 'velocity') {
    return over(path.alphaSlope(t), x)
      .mul(data)
      .add(over(path.sigmaSlope(t), x).mul(noise));
  }
  return { data, noise, score: off.neg() }[prediction];
}

function sampled(path: Path, prediction: Prediction) {
  const times = referenceGrid(30, { interval: samplingInterval(path, prediction) });
  const field = (x: Tensor, t: number) => toVelocity(path, prediction, best(path, prediction, x, tensor([t])), x, t);
  return sampleOde('heun2', field, noise, { times }).x;
}

describe.each([linear, gvp, vp])('$name', (path) => {
  test.each(predictions)('a perfect network of %s samples the mean and the spread of the data', (prediction) => {
    tidy(() => {
      const x = sampled(path, prediction);
      const start = noise.mean().item(); // of those drawn; the flow is linear in them
      expect(x.mean().item()).toBeCloseTo(MEAN + start * Math.sqrt(VARIANCE), 1);
      expect(x.std().item() / noise.std().item()).toBeCloseTo(Math.sqrt(VARIANCE), 2);
    });
  });

  test('the four predictions are one trajectory', () => {
    tidy(() => {
      const [noisy, ...others] = (['noise', 'score', 'data'] as const).map((prediction) => sampled(path, prediction));
      for (const x of others) expect(x.sub(noisy!).abs().max().item()).toBeLessThan(1e-3);
      // Velocity starts at t = 1 on linear and GVP, the others 0.001 below.
      expect(sampled(path, 'velocity').sub(noisy!).abs().max().item()).toBeLessThan(5e-3);
    });
  });

  test.each(predictions)('the loss of %s is least at the perfect network', (prediction) => {
    tidy(() => {
      const data = randn([1000, 1], { generator: new Generator(1) })
        .mul(Math.sqrt(VARIANCE))
        .add(MEAN);
      const loss = (change: (output: Tensor) => Tensor) =>
        flowMatchingLoss((x, t) => change(best(path, prediction, x, t)), data, {
          path,
          prediction,
          noise,
          interval: [0.1, 0.9], // away from the ends, where few samples weigh much
          generator: new Generator(2),
        })
          .loss.mean()
          .item();
      const least = loss((output) => output);
      for (const change of [1.2, 0.8].map((by) => (output: Tensor) => output.mul(by))) {
        expect(loss(change)).toBeGreaterThan(least);
      }
      for (const by of [0.3, -0.3]) expect(loss((output) => output.add(by))).toBeGreaterThan(least);
    });
  });
});
