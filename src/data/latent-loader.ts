// Endless shuffled batches of cached latents: the order, the mirrorings and the replacement of unreadable pictures are those that Loader
// gives for the pictures themselves, number for number, so that a run on a cache sees what a run that encodes would see.

import type { Tensor } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import type { LatentCache } from './latent-cache.ts';
import { checkLoaderState, type LoaderState, warnOfOtherSize } from './loader.ts';
import { Draws, stream } from './random.ts';
import { Sampler, type SamplerOptions } from './sampler.ts';

/** Some pictures of a cache, renumbered. */
export interface CachedSet {
  cache: LatentCache;
  indices: readonly number[];
}

export interface CachedBatch {
  /** [B] */
  labels: Int32Array;
  /** Raw latents, float32 [B, C, h, w], of the current scope. */
  read(): Tensor;
}

export class LatentLoader {
  readonly set: CachedSet;
  readonly #options: SamplerOptions & { flip: boolean; seed: number };
  #sampler: Sampler;

  /** DataError when the set has fewer pictures than one batch, or none that was readable. */
  constructor(set: CachedSet, options: { batch: number; seed: number; flip: boolean }) {
    this.set = set;
    this.#options = { ...options, size: set.indices.length };
    this.#sampler = new Sampler(this.#options);
    if (set.indices.every((index) => set.cache.label(index) === undefined)) {
      throw new DataError(`${set.cache.folder}: none of its pictures could be read.`);
    }
  }

  get size(): number {
    return this.set.indices.length;
  }

  next(): CachedBatch {
    const { cache, indices } = this.set;
    const { flip, seed } = this.#options;
    const { epoch, indices: places } = this.#sampler.next();
    const chosen = Array.from(places, (place) => {
      let at = place;
      while (cache.label(indices[at]!) === undefined) at = (at + 1) % this.size; // the next readable one
      const mirrored = flip && new Draws(stream.crop, seed, epoch, place).chance(0.5);
      return { index: indices[at]!, mirrored };
    });
    return {
      labels: Int32Array.from(chosen, ({ index }) => cache.label(index)!),
      read: () =>
        cache.read(
          chosen.map(({ index }) => index),
          chosen.map(({ mirrored }) => mirrored),
        ),
    };
  }

  state(): LoaderState {
    return { ...this.#sampler.state, pictures: this.size };
  }

  /** Goes to a saved position. ArgumentError for anything but a state. */
  restore(state: unknown): void {
    const { epoch, samplesConsumed, pictures } = checkLoaderState(state);
    warnOfOtherSize(this.set.cache.folder, this.size, pictures);
    this.#sampler = new Sampler(this.#options, { epoch, samplesConsumed });
  }
}
