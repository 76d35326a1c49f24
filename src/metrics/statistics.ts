// Statistics of latents for stage 2: a mean and a population variance for every position of the latent, not per channel (spec 3.1).
// `LatentStatistics` is exact: float64, sample by sample inside blocks aligned to the sample's index, blocks merged in index order; so the
// result depends on the order of the samples alone, never on the batch size. `MomentumStatistics` repeats the reference's calculate_stat.py,
// a BatchNorm-like running average whose result depends on order and batch size.

import { keep, onesLike, type Tensor, tidy, zerosLike } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

/** What stage 2 loads as `{ mean, var }`: tensors of the latent's shape without the batch axis, [C, h, w]. */
export interface MeanAndVariance {
  mean: Tensor;
  variance: Tensor;
}

/** Count, mean and sum of squared deviations, float64. */
interface Moments {
  count: number;
  mean: Tensor;
  squares: Tensor;
}

/** Exact mean and variance per position. Add the batches in the order of their index. */
export class LatentStatistics {
  readonly blockSize: number;
  #merged: Moments | undefined; // the closed blocks
  #open: Moments | undefined;

  /** `blockSize`: samples per block; the last bits of the result depend on it. */
  constructor({ blockSize = 1024 }: { blockSize?: number } = {}) {
    this.blockSize = blockSize;
  }

  /** Samples added so far. */
  get count(): number {
    return (this.#merged?.count ?? 0) + (this.#open?.count ?? 0);
  }

  /** Adds latents [B, ...]. */
  add(latents: Tensor): void {
    const shape = (this.#open ?? this.#merged)?.mean.shape ?? latents.shape.slice(1);
    requireShape('LatentStatistics.add', latents, shape);
    tidy(() => {
      const batch = latents.detach().to('f64');
      for (const x of batch.unbind(0)) this.#addSample(x);
    });
  }

  /**
   * Takes in the statistics of the samples that follow these (another shard or process). Agrees with one pass over everything to
   * rounding, and bit for bit where the split falls on a block and `other` holds one block.
   */
  merge(other: LatentStatistics): void {
    this.#close();
    for (const part of [other.#merged, other.#open]) if (part) this.#merged = merge(this.#merged, part);
  }

  /** Mean and population variance in float64; the caller may cast. The accumulator can go on. */
  result(): MeanAndVariance {
    if (this.count === 0) throw new ArgumentError(expected('LatentStatistics.result', 'at least one sample', 0));
    return tidy(() => {
      const all = this.#open ? combine(this.#merged, this.#open) : this.#merged!;
      return { mean: all.mean.clone(), variance: all.squares.div(all.count) };
    });
  }

  dispose(): void {
    for (const moments of [this.#merged, this.#open]) free(moments);
    this.#merged = this.#open = undefined;
  }

  /** Welford's update: elementwise, hence the same bits whatever the batch and the threads. */
  #addSample(x: Tensor): void {
    this.#open ??= { count: 0, mean: keep(zerosLike(x)), squares: keep(zerosLike(x)) };
    const { mean, squares } = this.#open;
    const deviation = x.sub(mean);
    mean.add_(deviation.div(++this.#open.count));
    squares.addcmul_(deviation, x.sub(mean));
    if (this.#open.count === this.blockSize) this.#close();
  }

  #close(): void {
    if (!this.#open) return;
    this.#merged = merge(this.#merged, this.#open);
    free(this.#open);
    this.#open = undefined;
  }
}

/** Replaces `into` by its union with `part`. */
function merge(into: Moments | undefined, part: Moments): Moments {
  const all = tidy(() => {
    const { count, mean, squares } = combine(into, part);
    return { count, mean: keep(mean.clone()), squares: keep(squares.clone()) };
  });
  free(into);
  return all;
}

/** Moments of a union (Chan, Golub and LeVeque). */
function combine(a: Moments | undefined, b: Moments): Moments {
  if (!a) return b;
  const count = a.count + b.count;
  const shift = b.mean.sub(a.mean);
  return {
    count,
    mean: a.mean.add(shift.mul(b.count / count)),
    squares: a.squares.add(b.squares).add(shift.square().mul((a.count * b.count) / count)),
  };
}

function free(moments: Moments | undefined): void {
  moments?.mean.dispose();
  moments?.squares.dispose();
}

/**
 * The reference's statistics: running = (1 - momentum) * running + momentum * batch, from mean 0 and variance 1, in float32. Batches of
 * [B, N, C] and [B, C, h, w] give biased variances per position; [B, C] and [B, C, d, h, w] are BatchNorm's, per channel and unbiased.
 */
export class MomentumStatistics {
  readonly momentum: number;
  #mean: Tensor | undefined;
  #variance: Tensor | undefined;

  constructor({ momentum = 0.1 }: { momentum?: number } = {}) {
    this.momentum = momentum;
  }

  /** Adds one batch of latents [B, ...]. */
  add(latents: Tensor): void {
    const perPosition = latents.ndim === 3 || latents.ndim === 4;
    if (!perPosition && latents.ndim !== 2 && latents.ndim !== 5)
      throw new ShapeError(expected('MomentumStatistics.add', 'latents of rank 2 to 5', latents.shape));
    const shape = perPosition ? latents.shape.slice(1) : latents.shape.slice(1, 2);
    if (this.#mean && `${this.#mean.shape}` !== `${shape}`)
      throw new ShapeError(expected('MomentumStatistics.add', `statistics of shape [${this.#mean.shape}]`, shape));
    tidy(() => {
      const x = latents.detach().to('f32');
      const over = perPosition ? [0] : [0, ...x.shape.keys()].filter((dim, i) => i === 0 || dim > 1);
      const [variance, mean] = x.varMean(over, { correction: perPosition ? 0 : 1 });
      this.#mean ??= keep(zerosLike(mean));
      this.#variance ??= keep(onesLike(variance));
      this.#mean.mul_(1 - this.momentum).add_(mean, { alpha: this.momentum });
      this.#variance.mul_(1 - this.momentum).add_(variance, { alpha: this.momentum });
    });
  }

  /** The running mean and variance, float32. */
  result(): MeanAndVariance {
    if (!this.#mean || !this.#variance)
      throw new ArgumentError(expected('MomentumStatistics.result', 'at least one batch', 0));
    return { mean: this.#mean.clone(), variance: this.#variance.clone() };
  }

  dispose(): void {
    this.#mean?.dispose();
    this.#variance?.dispose();
    this.#mean = this.#variance = undefined;
  }
}

/** The reference's merge over processes, which ignores their counts: var = mean(var_r) + mean(mean_r^2) - mean^2, at least 0. */
export function mergeMomentumStatistics(ranks: readonly MeanAndVariance[]): MeanAndVariance {
  if (ranks.length === 0) throw new ArgumentError(expected('mergeMomentumStatistics', 'at least one rank', 0));
  return tidy(() => {
    const average = (list: Tensor[]) => list.reduce((sum, x) => sum.add(x)).div(list.length);
    const mean = average(ranks.map((rank) => rank.mean));
    const square = average(ranks.map((rank) => rank.mean.square()));
    const variance = average(ranks.map((rank) => rank.variance));
    return { mean, variance: variance.add(square).sub(mean.square()).clamp(0) };
  });
}

function requireShape(where: string, batch: Tensor, shape: readonly number[]): void {
  if (`${batch.shape.slice(1)}` !== `${shape}`)
    throw new ShapeError(expected(where, `latents of shape [B, ${shape.join(', ')}]`, batch.shape));
}
