// How sure a figure of a set of samples is, by computing it again on other choices of them.
// `bootstrap`: as many samples drawn with replacement, percentiles of the values. Frechet distances are biased upward by the repetition.
// `subset`: halves drawn without replacement; n/2 of n have the variance of the whole's estimate (s^2 (1/(n/2) - 1/n) = s^2 / n), so their
// spread is the standard error whatever the figure is, nearest neighbours included. The interval lies around the figure of the whole.

import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { NumpyRandom } from './numpy-random.ts';

export type ResamplingMethod = 'bootstrap' | 'subset';

export interface Interval {
  method: ResamplingMethod;
  low: number;
  high: number;
  /** Share of intervals that hold the true value, if all goes well. */
  level: number;
  resamples: number;
}

const LEVEL = 0.95;
const NORMAL = 1.959963984540054; // 97.5 % of a normal distribution lie below

export interface ResamplingOptions {
  method: ResamplingMethod;
  resamples: number;
  seed?: number;
}

/** The interval of `value`, which `figure` gives for all n rows, from what it gives for others (numbers of rows, i64). */
export function interval(
  value: number,
  n: number,
  figure: (rows: Tensor) => number,
  { method, resamples, seed = 0 }: ResamplingOptions,
): Interval {
  const random = new NumpyRandom(seed);
  const values = Array.from({ length: resamples }, () =>
    tidy(() => figure(tensor(method === 'subset' ? half(random, n) : again(random, n), { dtype: 'i64' }))),
  );
  const common = { method, level: LEVEL, resamples };
  if (method === 'bootstrap') {
    values.sort((a, b) => a - b);
    return { ...common, low: quantile(values, (1 - LEVEL) / 2), high: quantile(values, (1 + LEVEL) / 2) };
  }
  const mean = values.reduce((sum, x) => sum + x, 0) / resamples;
  const error = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, resamples - 1));
  return { ...common, low: value - NORMAL * error, high: value + NORMAL * error };
}

/** FID's value for infinitely many samples (Chong and Forsyth 2020): it falls with 1/N on a line. */
export function extrapolate(points: readonly { n: number; value: number }[]): { limit: number; slope: number } {
  const x = points.map(({ n }) => 1 / n);
  const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [average(x), average(points.map(({ value }) => value))];
  const spread = x.reduce((sum, value) => sum + (value - meanX) ** 2, 0);
  const slope = points.reduce((sum, { value }, i) => sum + (x[i]! - meanX) * (value - meanY), 0) / spread;
  return { limit: meanY - slope * meanX, slope };
}

/** The numbers of samples at which FID is computed for its line: 15, from 5000 (or a quarter, of fewer) to all. */
export function extrapolationSizes(n: number): number[] {
  const least = Math.min(5000, Math.ceil(n / 4));
  return Array.from({ length: 15 }, (_, i) => Math.round(least + ((n - least) * i) / 14));
}

function half(random: NumpyRandom, n: number): Int32Array {
  return random
    .permutation(n)
    .subarray(0, Math.max(1, Math.floor(n / 2)))
    .sort();
}

function again(random: NumpyRandom, n: number): Int32Array {
  return Int32Array.from({ length: n }, () => random.below(n)).sort();
}

/** Linear between neighbours, as NumPy has it. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const [a, b] = [sorted[low]!, sorted[Math.min(low + 1, sorted.length - 1)]!];
  return a + (b - a) * (at - low);
}
