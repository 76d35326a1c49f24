// Heun's method of order 3: nodes 0, 1/3, 2/3, weights 1/4, 0, 3/4.

import { f32, type Sampler, walk } from './walk.ts';

export const heun3: Sampler = (velocity, x, times, options = {}) =>
  walk('heun3', x, times, options, ([x], t, next) => {
    const dt = f32(next - t);
    const k1 = velocity(x!, t);
    const k2 = velocity(x!.add(k1.mul(dt).mul(1 / 3)), f32(t + f32(dt * f32(1 / 3))));
    const k3 = velocity(x!.add(k2.mul(2 / 3).mul(dt)), f32(t + f32(dt * f32(2 / 3))));
    return [
      x!.add(
        k1
          .mul(1 / 4)
          .add(k3.mul(3 / 4))
          .mul(dt),
      ),
    ];
  });
