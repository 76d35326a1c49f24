// The deterministic samplers by name: torchdiffeq's names, then ours. For each: what one step costs, and its order.

import type { Tensor } from '../../tensor/index.ts';
import { expected, nearest } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import { ab2 } from './ab2.ts';
import { explicitAdams, implicitAdams } from './adams.ts';
import { adaptiveHeun } from './adaptive-heun.ts';
import { bosh3 } from './bosh3.ts';
import { dopri5 } from './dopri5.ts';
import { dopri8 } from './dopri8.ts';
import { dpmpp2m } from './dpmpp-2m.ts';
import { euler } from './euler.ts';
import { fehlberg2 } from './fehlberg2.ts';
import { heun2 } from './heun2.ts';
import { heun3 } from './heun3.ts';
import { midpoint } from './midpoint.ts';
import { rk4 } from './rk4.ts';
import type { Sampler, SamplerOptions, Velocity } from './walk.ts';

export const samplers = {
  euler, // 1 evaluation a step, order 1
  midpoint, // 2, order 2
  heun2, // 2, order 2
  heun3, // 3, order 3
  rk4, // 4, order 4
  explicit_adams: explicitAdams, // 1, order up to 12 on equal steps
  implicit_adams: implicitAdams, // 2 to 5, order up to 12 on equal steps
  fixed_adams: implicitAdams, // torchdiffeq's older name
  dopri5, // adaptive, 6 an attempted step, order 5
  dopri8, // adaptive, 13, order 8
  bosh3, // adaptive, 3, order 3
  fehlberg2, // adaptive, 2, order 2
  adaptive_heun: adaptiveHeun, // adaptive, 1, order 2
  ab2, // 1, order 2 on any steps
  dpmpp_2m: dpmpp2m, // 1, order 2 on any steps
} as const satisfies Record<string, Sampler>;

export type SamplerName = keyof typeof samplers;

/** Those that choose their own steps: their grid only says what to report. */
export const adaptiveSamplers: readonly SamplerName[] = ['dopri5', 'dopri8', 'bosh3', 'fehlberg2', 'adaptive_heun'];

/** Those that never ask for the velocity at the grid's last time. */
export const samplersBeforeEnd: readonly SamplerName[] = ['euler', 'midpoint', 'heun3', 'ab2', 'dpmpp_2m'];

/** The sampler of this name. */
export function samplerNamed(name: string): Sampler {
  if (Object.hasOwn(samplers, name)) return samplers[name as SamplerName];
  const near = name === 'heun' ? 'heun2' : nearest(name, Object.keys(samplers));
  const next = near && `Did you mean '${near}'?`;
  throw new ArgumentError(expected('sampling_method', `one of ${Object.keys(samplers).join(', ')}`, name, next));
}

/** Runs the sampler of this name and counts how often it asked for the velocity. */
export function sampleOde(
  name: string,
  velocity: Velocity,
  x: Tensor,
  { times, ...options }: SamplerOptions & { readonly times: readonly number[] },
): { x: Tensor; evaluations: number } {
  let evaluations = 0;
  const counted: Velocity = (state, t) => {
    evaluations++;
    return velocity(state, t);
  };
  return { x: samplerNamed(name)(counted, x, times, options), evaluations };
}
