// Smoothing of learning curves.

/**
 * Exponential moving average along a curve, its start unbiased as Adam's moments are (so it begins at the first value, not at 0).
 * `weight` from 0 (none) to below 1; what is not finite is left out of the average and stays a gap.
 */
export function smooth(values: readonly number[], weight: number): number[] {
  let mean = 0;
  let sum = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return Number.NaN;
    mean = weight * mean + (1 - weight) * value;
    sum = weight * sum + (1 - weight);
    return mean / sum;
  });
}
