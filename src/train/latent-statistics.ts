// Mean and variance of an RAE's latents over a set of pictures, for the normalisation of stage 2 (spec 3.1).
// Exact by default: float64, in fixed blocks merged in the order of the pictures, so that the result does not depend on a batch size.
// `momentum` repeats the reference's running average over shuffled, randomly mirrored batches, which does.

import { inOrder, type LatentCache, Loader, type PictureSource } from '../data/index.ts';
import { toPixels } from '../inference/pixels.ts';
import { LatentStatistics, type MeanAndVariance, MomentumStatistics } from '../metrics/statistics.ts';
import type { Rae } from '../models/rae.ts';
import { noGrad, type Tensor, tidy } from '../tensor/index.ts';

/** Pictures the encoder sees at once: fixed, since kernels round differently for other sizes. */
const BATCH = 32;

export interface StatisticsOptions {
  /** The reference's way: its weight of the newest batch (0.1 there) and its batch size. */
  momentum?: { weight: number; batch: number; seed: number } | undefined;
  onProgress?: (done: number, of: number) => void;
}

/** float32 moments [C, h, w] of the raw latents (without statistics, in evaluation mode). The caller owns them. */
export async function latentStatistics(
  rae: Rae,
  source: PictureSource,
  { momentum, onProgress }: StatisticsOptions = {},
): Promise<MeanAndVariance> {
  const accumulator = momentum ? new MomentumStatistics({ momentum: momentum.weight }) : new LatentStatistics();
  let done = 0;
  const take = (images: Uint8Array, n: number) => {
    noGrad(() => tidy(() => accumulator.add(encodeRaw(rae, images, n, source.side))));
    done += n;
    onProgress?.(done, source.size);
  };
  try {
    if (momentum) {
      const loader = new Loader(source, { batch: momentum.batch, seed: momentum.seed, dropLast: false });
      while (done < source.size) {
        const { images, labels } = await loader.next();
        take(images, labels.length);
      }
    } else {
      for await (const { images, labels } of inOrder(source, { batch: BATCH })) take(images, labels.length);
    }
    return float32Moments(accumulator);
  } finally {
    accumulator.dispose();
  }
}

/** The same exact moments of latents that are cached, mirrored ones left out. The caller owns them. */
export function cachedStatistics(cache: LatentCache): MeanAndVariance {
  const accumulator = new LatentStatistics();
  try {
    for (let from = 0; from < cache.size; from += BATCH) {
      const some = Array.from({ length: Math.min(BATCH, cache.size - from) }, (_, i) => from + i);
      const present = some.filter((index) => cache.label(index) !== undefined);
      if (present.length > 0) tidy(() => accumulator.add(cache.read(present)));
    }
    return float32Moments(accumulator);
  } finally {
    accumulator.dispose();
  }
}

function float32Moments(accumulator: LatentStatistics | MomentumStatistics): MeanAndVariance {
  return tidy(() => {
    const { mean, variance } = accumulator.result();
    return { mean: mean.to('f32'), variance: variance.to('f32') };
  });
}

/** Latents of one batch, padded to the fixed size. */
function encodeRaw(rae: Rae, images: Uint8Array, n: number, side: number): Tensor {
  const bytes = side * side * 3;
  const rows = Math.max(n, BATCH);
  const padded = new Uint8Array(rows * bytes);
  padded.set(images.subarray(0, n * bytes));
  return rae.encode(toPixels(padded, [rows, side, side])).narrow(0, 0, n);
}
