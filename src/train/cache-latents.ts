// Encodes a set of pictures once and for all: raw latents into a cache (src/data/latent-cache.ts), mirrored ones too by option, then their
// statistics. A shard at a time, so that an interruption costs no more than one.

import { inOrder, LatentCache, LatentCacheWriter, mirrorInPlace, type PictureSource, subset } from '../data/index.ts';
import { encodePictures, type Precision, portionOf } from '../inference/batches.ts';
import { withStatistics } from '../inference/parts-tensors.ts';
import { toPixels } from '../inference/pixels.ts';
import type { Rae } from '../models/rae.ts';
import { cat, dispose, noGrad, stack, type Tensor, tidy, zeros } from '../tensor/index.ts';
import { sha256 } from '../util/digest.ts';
import { cachedStatistics } from './latent-statistics.ts';

export interface CacheOptions {
  /** In evaluation mode, without statistics. */
  rae: Rae;
  /** Digest of the encoder as saveEncoder writes it. */
  encoder: string;
  /** Centre crops, none mirrored. */
  source: PictureSource;
  /** Names the pictures, wherever their folder lies. */
  nameOf(index: number): string;
  exif: boolean;
  folder: string;
  /** Store every picture mirrored, too. */
  flips: boolean;
  dtype: 'f32' | 'bf16';
  precision: Precision;
  /** A file of `mean` and `var`. Default: the moments of the stored latents, mirrored ones left out. */
  statistics?: string | undefined;
  /** After every batch; throw from it to stop. */
  onProgress?: (done: number) => void;
}

/** Writes the cache, or what is missing of it. The caller disposes it. */
export async function cacheLatents(options: CacheOptions): Promise<LatentCache> {
  const { rae, source, folder, flips, dtype, precision, statistics } = options;
  const [C, h, w] = rae.latentShape as [number, number, number];
  const writer = new LatentCacheWriter(folder, {
    origin: {
      encoder: options.encoder,
      encoder_input_size: rae.encoderInputSize,
      image_size: source.side,
      crop: 'center',
      exif: options.exif,
      precision,
    },
    dtype,
    shape: [C, h, w],
    flips,
    pictures: source.size,
    names: sha256(Array.from({ length: source.size }, (_, i) => `${options.nameOf(i)}\n`)),
    classes: [...source.classes],
  });
  for (let next = writer.nextShard(); next; next = writer.nextShard()) {
    const { from, to } = next;
    const indices = Array.from({ length: to - from }, (_, i) => from + i);
    const part = subset(source, indices);
    const rows: Tensor[] = [];
    const labels: number[] = [];
    const kept: number[] = [];
    for await (const batch of inOrder(part, { batch: portionOf(rae) })) {
      rows.push(noGrad(() => tidy(() => encodeBoth(rae, batch.images, batch.labels.length, options))));
      labels.push(...batch.labels);
      for (const index of batch.indices) kept.push(from + index);
      options.onProgress?.(from + labels.length);
    }
    const shape = [0, flips ? 2 : 1, C, h, w];
    tidy(() => writer.write(rows.length > 0 ? cat(rows, 0) : zeros(shape), labels, kept));
    for (const row of rows) row.dispose();
  }
  if (!writer.complete) {
    if (statistics === undefined) {
      const cache = LatentCache.open(folder, { complete: false });
      const { mean, variance } = cachedStatistics(cache);
      writer.finish(new Map(Object.entries({ mean, var: variance })));
      dispose([mean, variance]);
      cache.dispose();
    } else {
      withStatistics(statistics, (moments) => writer.finish(moments));
    }
  }
  return LatentCache.open(folder);
}

/** Raw latents [n, 1 or 2, C, h, w] of RGB bytes [n, side, side, 3]. */
function encodeBoth(
  rae: Rae,
  images: Uint8Array,
  n: number,
  { source: { side }, flips, precision }: CacheOptions,
): Tensor {
  const encode = (bytes: Uint8Array) => encodePictures(rae, toPixels(bytes, [n, side, side]), { precision });
  const plain = encode(images);
  if (!flips) return plain.unsqueeze(1);
  const size = side * side * 3;
  const mirrored = images.slice();
  for (let i = 0; i < n; i++) mirrorInPlace(mirrored.subarray(i * size, (i + 1) * size), side);
  return stack([plain, encode(mirrored)], 1);
}
