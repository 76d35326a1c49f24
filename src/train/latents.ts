// Where stage 2 gets its latents: encoded as it goes, or from a cache. Both give normalised float32 latents in the same order, so that the
// loop, the evaluations and the checks need not know which it is.

import { BatchReader, type CachedSet, LatentLoader, type Loader, type PictureSource } from '../data/index.ts';
import { toPixels } from '../inference/pixels.ts';
import type { Rae } from '../models/rae.ts';
import { noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { log } from '../util/log.ts';
import type { Resumable } from './session.ts';

export interface LatentBatch {
  /** [B] */
  labels: Int32Array;
  /** Normalised latents [B, C, h, w], made when called, of the current scope. */
  latents(): Tensor;
}

/** Endless shuffled batches. */
export interface LatentBatches extends Resumable {
  /** Pictures in the set. */
  readonly size: number;
  next(): Promise<LatentBatch>;
}

/** A numbered set, neither shuffled nor mirrored. */
export interface LatentSet {
  readonly size: number;
  label(index: number): number;
  /** Those of the pictures that can be read. */
  read(indices: readonly number[]): Promise<LatentBatch>;
}

/** Batches of pictures, encoded. */
export function encodedBatches(rae: Rae, loader: Loader): LatentBatches {
  const { side } = loader.source;
  return {
    size: loader.size,
    state: () => loader.state(),
    restore: (state) => loader.restore(state),
    next: async () => encoded(rae, side, await loader.next()),
  };
}

/** Pictures, encoded when they are asked for. */
export function encodedSet(rae: Rae, source: PictureSource): LatentSet {
  const reader = new BatchReader(source, { onUnreadable: ({ message }) => log.warn(`${message} Skipped.`) });
  return {
    size: source.size,
    label: (index) => source.label(index),
    read: async (indices) => encoded(rae, source.side, await reader.readThese(indices)),
  };
}

/** Batches of a cache; `rae` normalises. */
export function cachedBatches(
  rae: Rae,
  set: CachedSet,
  options: { batch: number; seed: number; flip: boolean },
): LatentBatches {
  const loader = new LatentLoader(set, options);
  return {
    size: loader.size,
    state: () => loader.state(),
    restore: (state) => loader.restore(state),
    next: async () => {
      const { labels, read } = loader.next();
      return { labels, latents: () => normalised(rae, read()) };
    },
  };
}

/** The set itself; `labels` translates those of the cache. */
export function cachedSet(rae: Rae, { cache, indices }: CachedSet, labels?: readonly number[]): LatentSet {
  const labelOf = (index: number) => {
    const own = cache.label(index) ?? 0;
    return labels ? labels[own]! : own;
  };
  return {
    size: indices.length,
    label: (index) => labelOf(indices[index]!),
    read: async (some) => {
      const present = some.map((i) => indices[i]!).filter((index) => cache.label(index) !== undefined);
      return {
        labels: Int32Array.from(present, labelOf),
        latents: () => normalised(rae, cache.read(present)),
      };
    },
  };
}

/** The whole set in order, `batch` at a time. */
export async function* latentsInOrder(set: LatentSet, batch: number): AsyncGenerator<LatentBatch> {
  for (let at = 0; at < set.size; at += batch) {
    const some = await set.read(Array.from({ length: Math.min(batch, set.size - at) }, (_, i) => at + i));
    if (some.labels.length > 0) yield some;
  }
}

function encoded(rae: Rae, side: number, { images, labels }: { images: Uint8Array; labels: Int32Array }): LatentBatch {
  return { labels, latents: () => rae.encode(toPixels(images, [labels.length, side, side])) };
}

function normalised(rae: Rae, raw: Tensor): Tensor {
  return noGrad(() => tidy(() => rae.normalize(raw)));
}
