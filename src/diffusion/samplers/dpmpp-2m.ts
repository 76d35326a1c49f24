// DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2): the linear part of the flow is integrated exactly, and the clean sample d that the
// velocity points to is extrapolated in lambda = log(alpha / sigma) from two steps. One velocity a step, order 2. On the linear path.
// The first two steps from t = 1 (lambda = -infinity) and the one to t = 0 are of order 1. Not in the reference.
// On the closed-form oracles ab2 needs fewer steps for the same error; this one is for networks that predict the clean sample well.

import type { Tensor } from '../../tensor/index.ts';
import { f32, type Sampler, walk } from './walk.ts';

export const dpmpp2m: Sampler = (velocity, x, times, options = {}) => {
  let widthBefore = Number.POSITIVE_INFINITY;
  return walk('dpmpp_2m', x, times, options, ([x, last], t, next) => {
    const data = x!.sub(velocity(x!, t).mul(t));
    const width = lambda(next) - lambda(t);
    const r = widthBefore / width; // infinite where no second order can be had
    widthBefore = width;
    if (!last || !Number.isFinite(r) || r === 0) return [linearStep(x!, data, t, next), data];
    const ahead = data.add(data.sub(last).mul(1 / (2 * r)));
    return [linearStep(x!, ahead, t, next), data];
  });
};

/** x' = (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) d, exact where d is constant; with alpha = 1 - t the second factor is 1 - t'/t. */
function linearStep(x: Tensor, data: Tensor, t: number, next: number): Tensor {
  const ratio = f32(next / t);
  return x.mul(ratio).add(data.mul(1 - ratio));
}

function lambda(t: number): number {
  return Math.log((1 - t) / t);
}
