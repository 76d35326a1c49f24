// The Adams-Bashforth method of order 2 for unequal steps, one velocity a step: x <- x + dt ((1 + r/2) v - r/2 v_before), r = dt / dt_before.
// Keeps its order on shifted grids, where torchdiffeq's explicit_adams loses it. The first step is Euler's. Not in the reference.

import { f32, type Sampler, walk } from './walk.ts';

export const ab2: Sampler = (velocity, x, times, options = {}) => {
  let before = 0;
  return walk('ab2', x, times, options, ([x, last], t, next) => {
    const dt = f32(next - t);
    const v = velocity(x!, t).clone(); // a velocity may hand out a tensor of its own
    const r = dt / before;
    before = dt;
    if (!last) return [x!.add(v.mul(dt)), v];
    return [
      x!.add(
        v
          .mul(1 + r / 2)
          .sub(last.mul(r / 2))
          .mul(dt),
      ),
      v,
    ];
  });
};
