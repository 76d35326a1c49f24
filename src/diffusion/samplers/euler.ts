// Explicit Euler, order 1: x <- x + (t' - t) v(x, t). The reference's default (spec, section 11.1).

import { f32, type Sampler, walk } from './walk.ts';

export const euler: Sampler = (velocity, x, times, options = {}) =>
  walk('euler', x, times, options, ([x], t, next) => {
    const dt = f32(next - t);
    return [x!.add(velocity(x!, t).mul(dt))]; // a bf16 velocity is multiplied in bf16, as under the reference's autocast
  });
