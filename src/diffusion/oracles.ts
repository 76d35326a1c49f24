// Fields whose flow is known in closed form: what samplers are measured against.

import type { Tensor } from '../tensor/index.ts';
import type { Velocity } from './samplers/walk.ts';

export interface Oracle {
  readonly velocity: Velocity;
  /** The state at `t` of the flow that is at `start` when t = 1. */
  solution(start: Tensor, t: number): Tensor;
}

/**
 * Data ~ N(mean, diag(variance)) on the linear path: v = -m + (t - (1-t) c) / S (x - (1-t) m) with S = (1-t)^2 c + t^2.
 * `mean`, `variance` [D] of the state's dtype. (Midpoint has order 3 here: its leading error vanishes for this field.)
 */
export function gaussianOracle(mean: Tensor, variance: Tensor): Oracle {
  const spread = (t: number) => variance.mul((1 - t) ** 2).add(t * t);
  return {
    velocity: (x, t) => {
      const slope = variance
        .mul(t - 1)
        .add(t)
        .div(spread(t));
      return x
        .sub(mean.mul(1 - t))
        .mul(slope)
        .sub(mean);
    },
    solution: (start, t) => mean.mul(1 - t).add(spread(t).sqrt().mul(start)),
  };
}

/** Logistic growth with a rate that changes sign in time: v = cos(3t) x (1 - x), so x / (1 - x) grows as exp(sin(3t)/3). States in (0, 1). */
export const logisticOracle: Oracle = {
  velocity: (x, t) => x.sub(x.square()).mul(Math.cos(3 * t)),
  solution(start, t) {
    const odds = start.div(start.neg().add(1)).mul(Math.exp((Math.sin(3 * t) - Math.sin(3)) / 3));
    return odds.div(odds.add(1));
  },
};
