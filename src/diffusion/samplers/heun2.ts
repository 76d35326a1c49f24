// Heun's method of order 2: the mean of the velocities at both ends of an Euler step. torchdiffeq's heun2 (EDM's Heun, arXiv 2206.00364,
// which takes an Euler step to t = 0, is another).

import { f32, type Sampler, walk } from './walk.ts';

export const heun2: Sampler = (velocity, x, times, options = {}) =>
  walk('heun2', x, times, options, ([x], t, next) => {
    const dt = f32(next - t);
    const k1 = velocity(x!, t);
    const k2 = velocity(x!.add(k1.mul(dt)), f32(t + dt));
    return [
      x!.add(
        k1
          .mul(1 / 2)
          .add(k2.mul(1 / 2))
          .mul(dt),
      ),
    ];
  });
