// The training loss by time: sums and counts over bins of t, for the session's means. With a shift most times lie near noise, where the
// loss is near that of predicting nothing; what a model has learned shows in the bins below.

const BINS = 10;

/** Figures `loss_t/0.0-0.1` to `loss_t/0.9-1.0` of losses at times, those of bins without a time left out. */
export function lossByTime(times: readonly number[], losses: readonly number[]): Record<string, [number, number]> {
  const bins: Record<string, [number, number]> = {};
  const order = times.map((t, i) => [Math.min(BINS - 1, Math.floor(t * BINS)), losses[i]!] as const);
  for (const [bin, loss] of order.sort(([a], [b]) => a - b)) {
    const name = `loss_t/${(bin / BINS).toFixed(1)}-${((bin + 1) / BINS).toFixed(1)}`;
    const [sum, count] = bins[name] ?? [0, 0];
    bins[name] = [sum + loss, count + 1];
  }
  return bins;
}
