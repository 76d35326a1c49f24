// Runge and Kutta's method of order 4 by the 3/8 rule: nodes 0, 1/3, 2/3, 1, weights 1/8, 3/8, 3/8, 1/8. This is what torchdiffeq calls
// rk4; the Adams methods start with it.

import type { Tensor } from '../../tensor/index.ts';
import { f32, type Sampler, type Velocity, walk } from './walk.ts';

export const rk4: Sampler = (velocity, x, times, options = {}) =>
  walk('rk4', x, times, options, ([x], t, next) => [x!.add(rk4Increment(velocity, x!, t, next, velocity(x!, t)))]);

/** The change of x over one step; `k1` = velocity(x, t). */
export function rk4Increment(velocity: Velocity, x: Tensor, t: number, next: number, k1: Tensor): Tensor {
  const dt = f32(next - t);
  const third = f32(1 / 3);
  const k2 = velocity(x.add(k1.mul(dt).mul(1 / 3)), f32(t + f32(dt * third)));
  const k3 = velocity(x.add(k2.sub(k1.mul(1 / 3)).mul(dt)), f32(t + f32(dt * f32(2 / 3))));
  const k4 = velocity(x.add(k1.sub(k2).add(k3).mul(dt)), next);
  return k1.add(k2.add(k3).mul(3)).add(k4).mul(dt).mul(0.125);
}
