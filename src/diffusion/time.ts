// When to look: the times of training, the shift that depends on the latent's dimension, and the samplers' grids.
// Spec, sections 10 and 11.1; the shift is RAE (arXiv 2510.11690), section 4.2, after SD3 (arXiv 2403.03206).
// t = 1 is noise and t = 0 data. Grids are float32 numbers, computed with the roundings of torch.linspace, so that they equal the reference's to the bit.

import { type Generator, rand, type Tensor, tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import type { Path } from './path.ts';

export type Interval = readonly [low: number, high: number];

/** What a network predicts of x_t. `data` is an extension. */
export type Prediction = 'velocity' | 'noise' | 'score' | 'data';

export type TimeDistribution =
  | { readonly type: 'uniform' }
  | { readonly type: 'logit-normal'; readonly mean: number; readonly std: number };

/** Reads the configuration's spelling: `uniform`, or `logit-normal_mu_sigma` such as `logit-normal_0_1`. */
export function parseTimeDistribution(text: string): TimeDistribution {
  if (text === 'uniform') return { type: 'uniform' };
  const [type, mean, std, ...rest] = text.split('_');
  const numbers = [mean, std].map((part) => (part?.trim() ? Number(part) : Number.NaN));
  if (type === 'logit-normal' && rest.length === 0 && numbers.every(Number.isFinite) && numbers[1]! > 0) {
    return { type: 'logit-normal', mean: numbers[0]!, std: numbers[1]! };
  }
  throw new ArgumentError(
    expected('time_dist_type', "'uniform' or 'logit-normal_mu_sigma' with sigma > 0", text, "Try 'logit-normal_0_1'."),
  );
}

/** sqrt(dim / base): how far the schedule moves towards noise for a latent of `dim` numbers. At least 1. */
export function dimensionShift(dim: number, base = 4096): number {
  const shift = Math.sqrt(dim / base);
  return checkShift(shift, 'dimensionShift', `Latents of fewer than ${base} numbers need a smaller base.`);
}

/** shift * t / (1 + (shift - 1) t): 0 stays 0 and 1 stays 1. Numbers are rounded as float32. */
export function shiftTime(t: number, shift: number): number;
export function shiftTime(t: Tensor, shift: number): Tensor;
export function shiftTime(t: number | Tensor, shift: number): number | Tensor {
  checkShift(shift, 'shiftTime');
  if (typeof t !== 'number') return t.mul(shift).div(t.mul(shift - 1).add(1));
  const f = Math.fround;
  return f(f(f(shift) * f(t)) / f(1 + f(f(shift - 1) * f(t))));
}

/**
 * The times that training looks at, before the shift. Linear and GVP with velocity stop at 1 - 1/1000 and begin at 0; the other
 * predictions stay `eps` (default 1e-3) away from both ends, VP (default 1e-5) from noise only.
 */
export function trainingInterval(path: Path, prediction: Prediction, eps?: number): Interval {
  if (path.name.startsWith('vp')) return [0, 1 - (eps ?? 1e-5)];
  if (prediction === 'velocity') return [0, 1 - 1 / 1000];
  return [eps ?? 1e-3, 1 - (eps ?? 1e-3)];
}

/**
 * What the ODE grid runs over: 1 - low down to 1 - high before the shift.
 * Differs from the reference: `eps` has a default (1e-3); there it stays unset, so that all but velocity on Linear and GVP fail. And `vp`
 * starts below t = 1, where its alpha is 0 and rises infinitely fast; `vp-reference`, whose drift is another's, starts at 1.
 */
export function samplingInterval(path: Path, prediction: Prediction, eps = 1e-3): Interval {
  const [low, high] = trainingInterval(path, prediction, eps);
  return [path.name === 'vp' ? Math.max(low, eps) : low, high];
}

export interface TimeOptions {
  readonly distribution?: TimeDistribution;
  readonly interval?: Interval;
  readonly shift?: number;
}

/** Draws `n` times [n], float32, on the CPU. */
export function sampleTimes(n: number, { generator, ...options }: TimeOptions & { generator?: Generator }): Tensor {
  return timesFromUniform(rand([n], generator ? { generator } : {}), options);
}

/**
 * Times from uniform draws `u` in [0, 1): uniform, u (t1 - t0) + t0; logit-normal, truncated to the interval by the inverse of its
 * distribution function and then clamped. The shift comes last.
 */
export function timesFromUniform(
  u: Tensor,
  { distribution = { type: 'uniform' }, interval: [low, high] = [0, 1 - 1 / 1000], shift = 1 }: TimeOptions = {},
): Tensor {
  let t: Tensor;
  if (distribution.type === 'uniform') {
    t = u.mul(high - low).add(low);
  } else {
    const { mean, std } = distribution;
    const [from, to] = [normalCdf((logit(low) - mean) / std), normalCdf((logit(high) - mean) / std)];
    const quantile = u.mul(to - from).add(from);
    const z = quantile.mul(2).sub(1).erfinv().mul(Math.SQRT2); // u = 0 gives -inf, and so t = low
    t = z.mul(std).add(mean).sigmoid().clamp(low, high);
  }
  return shiftTime(t, shift);
}

/**
 * The reference's grid: 1 - linspace(low, high, points), then the shift. `points` counts grid points, so there are points - 1 steps,
 * and the last time is above 0 (0.0069 for a 256 px latent): the state there is decoded as it is.
 */
export function referenceGrid(points: number, { shift = 1, interval = [0, 0.999] }: GridOptions = {}): number[] {
  return grid('referenceGrid', points, interval, shift);
}

/** A grid of `steps` steps that ends at 0 exactly: 1 - linspace(0, 1, steps + 1), then the shift. */
export function gridToZero(steps: number, { shift = 1, interval: [low] = [0, 1] }: GridOptions = {}): number[] {
  return grid('gridToZero', steps + 1, [low, 1], shift);
}

export interface GridOptions {
  readonly shift?: number;
  /** Of 1 - t before the shift; `gridToZero` ignores its upper end. */
  readonly interval?: Interval;
}

function grid(where: string, points: number, [low, high]: Interval, shift: number): number[] {
  if (!Number.isInteger(points) || points < 2) {
    throw new ArgumentError(expected(where, 'at least one step (two grid points)', points));
  }
  return linspace(low, high, points).map((u) => shiftTime(Math.fround(1 - u), shift));
}

// torch.linspace in float32: from both ends towards the middle, product and sum rounded once (its kernel fuses them).
function linspace(start: number, end: number, points: number): number[] {
  const f = Math.fround;
  const step = f(f(f(end) - f(start)) / (points - 1));
  const middle = Math.floor(points / 2);
  return Array.from({ length: points }, (_, i) =>
    i < middle ? f(f(start) + step * i) : f(f(end) - step * (points - 1 - i)),
  );
}

function logit(p: number): number {
  return Math.log(p / (1 - p));
}

/** Phi(z) in float32, as the reference has it: its end at 0.999 rounds to 1. */
function normalCdf(z: number): number {
  return tensor([z]).div(Math.SQRT2).erf().add(1).mul(0.5).item();
}

function checkShift(shift: number, where: string, nextStep?: string): number {
  if (!(Number.isFinite(shift) && shift >= 1)) {
    throw new ArgumentError(expected(where, 'a shift of at least 1', shift, nextStep));
  }
  return shift;
}
