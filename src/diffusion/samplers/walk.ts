// What every sampler shares: its types, the check of its grid, and the walk along it.
// Each step is one scope. Whatever a step does not hand on is freed; the caller's noise never is, and the `x` given to `onStep` is
// borrowed: clone what must live on. The x that a sampler returns belongs to the caller.

import { noGrad, type Tensor, tidy } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';

/** dx/dt at `x` [B, ...] and time `t` (1 = noise, 0 = data), the same for the whole batch. */
export type Velocity = (x: Tensor, t: number) => Tensor;

export interface Step {
  /** 1 after the first step. */
  readonly step: number;
  readonly of: number;
  /** The time of `x`. */
  readonly t: number;
  /** The state, borrowed. */
  readonly x: Tensor;
}

export interface SamplerOptions {
  /** Called after every step of the grid: progress, previews; throw from it to cancel. */
  readonly onStep?: (step: Step) => void;
  /** Tolerances of the adaptive methods and of implicit_adams (1e-3 and 1e-6). */
  readonly rtol?: number;
  readonly atol?: number;
  /** Adaptive methods: false ends the last step at the grid's end, where torchdiffeq steps over it and interpolates. */
  readonly overshoot?: boolean;
}

/**
 * Integrates dx = v dt along `times`, strictly monotone: decreasing from noise to data, or increasing for inversion.
 * `x` is float32 or float64 and sets the precision of the state; the result is the state at the last time.
 */
export type Sampler = (velocity: Velocity, x: Tensor, times: readonly number[], options?: SamplerOptions) => Tensor;

/** From `state` (x first, then what the method remembers) at `t` to the state at `next`. */
export type Advance = (state: readonly Tensor[], t: number, next: number) => Tensor[];

/** Runs `advance` from each time to the next one, each in a scope of its own. */
export function walk(
  where: string,
  x: Tensor,
  times: readonly number[],
  { onStep }: SamplerOptions,
  advance: Advance,
): Tensor {
  checkStart(where, x, times);
  let state: Tensor[] = [x];
  const free = (old: readonly Tensor[], kept: readonly Tensor[]) => {
    for (const tensor of old) if (tensor !== x && !kept.includes(tensor)) tensor.dispose();
  };
  try {
    for (let i = 1; i < times.length; i++) {
      const after = noGrad(() => tidy(() => advance(state, times[i - 1]!, times[i]!)));
      free(state, after);
      state = after;
      onStep?.({ step: i, of: times.length - 1, t: times[i]!, x: state[0]! });
    }
  } catch (error) {
    free(state, []);
    throw error;
  }
  free(state.slice(1), []);
  return state[0]!;
}

/** Refuses a state or a grid that no sampler can walk. */
export function checkStart(where: string, x: Tensor, times: readonly number[]): void {
  if (x.dtype !== 'f32' && x.dtype !== 'f64') {
    const next = 'The state is kept in float32 even where the network computes in bf16.';
    throw new ArgumentError(expected(where, "a state of dtype 'f32' or 'f64'", x.dtype, next));
  }
  if (times.length < 2) throw new ArgumentError(expected(where, 'at least two times (one step)', [...times]));
  const direction = Math.sign(times[1]! - times[0]!);
  const monotone = times.every((t, i) => Number.isFinite(t) && (i === 0 || Math.sign(t - times[i - 1]!) === direction));
  if (direction === 0 || !monotone) {
    throw new ArgumentError(expected(where, 'strictly decreasing or increasing times', [...times]));
  }
}

/** Times and steps of fixed-grid methods are float32, whatever the state's dtype. */
export const f32 = Math.fround;
