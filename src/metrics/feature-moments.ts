// Mean and covariance of features that arrive batch by batch, in float64. Rows are gathered into blocks of fixed size aligned to the row's
// index, each block is reduced on its own, and blocks are merged in index order: the result does not depend on the batch size.

import { cat, keep, type Tensor, tidy, zeros } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import type { FeatureStatistics } from './frechet.ts';

const BLOCK = 512; // rows; 8 MB of float64 at Inception's 2048 dimensions

/** Accumulates feature moments; add batches in the order of their index, then ask for the `result`. */
export class FeatureMoments {
  #pending: Tensor[] = []; // rows of the open block
  #pendingRows = 0;
  #count = 0; // rows in the merged blocks
  #mean: Tensor | undefined;
  #scatter: Tensor | undefined; // sum of (x - mean)(x - mean)', [D, D]

  /** Rows added so far. */
  get count(): number {
    return this.#count + this.#pendingRows;
  }

  /** Adds features [B, D]. */
  add(features: Tensor): void {
    const [B, D] = features.dims(2);
    const width = this.#mean?.size(0) ?? this.#pending[0]?.size(1) ?? D;
    if (D !== width) throw new ShapeError(expected('FeatureMoments.add', `features of width ${width}`, D));
    for (let start = 0; start < B; ) {
      const rows = Math.min(B - start, BLOCK - this.#pendingRows);
      this.#pending.push(tidy(() => keep(features.narrow(0, start, rows).detach().to('f64').clone())));
      this.#pendingRows += rows;
      start += rows;
      if (this.#pendingRows === BLOCK) this.#close();
    }
  }

  /** Mean and covariance (divided by N - 1) of everything added; the accumulator can go on. */
  result(): FeatureStatistics {
    if (this.count < 2) throw new ArgumentError(expected('FeatureMoments.result', 'at least 2 samples', this.count));
    return tidy(() => {
      const { mean, scatter } = this.#merged();
      return { mean: mean.clone(), covariance: scatter.div(this.count - 1) };
    });
  }

  dispose(): void {
    for (const tensor of [...this.#pending, this.#mean, this.#scatter]) tensor?.dispose();
    [this.#pending, this.#pendingRows, this.#count] = [[], 0, 0];
    this.#mean = this.#scatter = undefined;
  }

  #close(): void {
    const { mean, scatter } = tidy(() => {
      const merged = this.#merged();
      return { mean: keep(merged.mean), scatter: keep(merged.scatter) };
    });
    const count = this.count;
    this.dispose();
    [this.#count, this.#mean, this.#scatter] = [count, mean, scatter];
  }

  /** The merged blocks with the open one (Chan, Golub and LeVeque). */
  #merged(): { mean: Tensor; scatter: Tensor } {
    const [n, m] = [this.#count, this.#pendingRows];
    if (m === 0) return { mean: this.#mean!, scatter: this.#scatter! };
    const rows = cat(this.#pending, 0);
    const blockMean = rows.mean([0]);
    const centred = rows.sub(blockMean);
    const blockScatter = centred.t().matmul(centred);
    const mean = this.#mean ?? zeros([rows.size(1)], { dtype: 'f64', device: rows.device });
    const shift = blockMean.sub(mean);
    const between = shift
      .unsqueeze(1)
      .mul(shift)
      .mul((n * m) / (n + m));
    return {
      mean: mean.add(shift.mul(m / (n + m))),
      scatter: this.#scatter ? this.#scatter.add(blockScatter).add(between) : blockScatter,
    };
  }
}
