// The explicit midpoint rule, order 2: x <- x + dt v(x + dt/2 v(x, t), t + dt/2).

import { f32, type Sampler, walk } from './walk.ts';

export const midpoint: Sampler = (velocity, x, times, options = {}) =>
  walk('midpoint', x, times, options, ([x], t, next) => {
    const dt = f32(next - t);
    const half = dt / 2;
    const middle = x!.add(velocity(x!, t).mul(half));
    return [x!.add(velocity(middle, f32(t + half)).mul(dt))];
  });
