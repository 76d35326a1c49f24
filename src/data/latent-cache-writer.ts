// Writes a cache of latents shard by shard, each whole or not at all, and names it in the manifest: a process that is killed leaves a
// cache that the same command completes, to the same bytes.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { saveSafetensors } from '../io/safetensors.ts';
import { dispose, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { removeTemporaries, writeFileAtomic } from '../util/atomic-write.ts';
import { show } from '../util/check.ts';
import { sha256OfFile } from '../util/digest.ts';
import { ConfigError } from '../util/errors.ts';
import { makeFolder } from '../util/storage.ts';
import { type LatentManifest, MANIFEST, readManifest, STATISTICS, statisticsDigest } from './latent-cache.ts';

/** Bytes of a shard, at most: small enough that little is lost by an interruption. */
const SHARD_BYTES = 64 * 2 ** 20;
/** Pictures of a shard are a multiple of this where they can be: networks run at a fixed batch, of which it is one. */
const MULTIPLE = 32;

export type CachePlan = Omit<LatentManifest, 'format' | 'version' | 'per_shard' | 'shards' | 'statistics'>;

export class LatentCacheWriter {
  readonly folder: string;
  readonly #manifest: LatentManifest;

  /**
   * Begins a cache in `folder`, or goes on with one. ConfigError when a cache of another encoder, other pictures or another form lies
   * there; it says what differs.
   */
  constructor(folder: string, plan: CachePlan) {
    this.folder = folder;
    const begun = readManifest(folder);
    if (begun === undefined) {
      makeFolder(folder);
      this.#manifest = { format: 'rae-latents', version: 1, ...plan, per_shard: picturesPerShard(plan), shards: [] };
      this.#save();
    } else {
      const difference = firstDifference(plan, begun);
      if (difference) {
        throw new ConfigError(`--cache: ${difference} in '${folder}'. Name another folder, or remove this one.`);
      }
      this.#manifest = begun;
      removeTemporaries(folder);
    }
  }

  /** Whether all is there, statistics included. */
  get complete(): boolean {
    return this.#manifest.statistics !== undefined;
  }

  /** Pictures in shards that are written. */
  get done(): number {
    return Math.min(this.#manifest.pictures, this.#manifest.shards.length * this.#manifest.per_shard);
  }

  /** The pictures that the next shard holds; undefined when all shards are there. */
  nextShard(): { from: number; to: number } | undefined {
    const { pictures, per_shard } = this.#manifest;
    return this.done === pictures ? undefined : { from: this.done, to: Math.min(pictures, this.done + per_shard) };
  }

  /** Writes the next shard: raw latents [n, 1 or 2, C, h, w] of its pictures that could be read, float32. */
  write(latents: Tensor, labels: ArrayLike<number>, indices: readonly number[]): void {
    const { shards, dtype } = this.#manifest;
    const file = `shard-${String(shards.length).padStart(5, '0')}.safetensors`;
    const path = join(this.folder, file);
    const tensors = tidy(
      () =>
        new Map([
          ['latents', latents.to(dtype)],
          ['labels', tensor(Array.from(labels), { dtype: 'i64' })],
          ['indices', tensor([...indices], { dtype: 'i64' })],
        ]),
    );
    saveSafetensors(path, tensors);
    dispose(tensors);
    shards.push({ file, bytes: statSync(path).size, sha256: sha256OfFile(path) });
    this.#save();
  }

  /** Writes the statistics (mean and var by name), after which the cache is complete. */
  finish(moments: ReadonlyMap<string, Tensor>): void {
    saveSafetensors(join(this.folder, STATISTICS), moments);
    this.#manifest.statistics = statisticsDigest(moments);
    this.#save();
  }

  #save(): void {
    writeFileAtomic(join(this.folder, MANIFEST), `${JSON.stringify(this.#manifest, null, 1)}\n`);
  }
}

function picturesPerShard({ shape, flips, dtype }: CachePlan): number {
  const one = shape.reduce((a, b) => a * b, 1) * (flips ? 2 : 1) * (dtype === 'bf16' ? 2 : 4);
  const most = Math.max(1, Math.min(4096, Math.floor(SHARD_BYTES / one)));
  return most < MULTIPLE ? most : most - (most % MULTIPLE);
}

/** What is not as in the manifest, as half a sentence. */
function firstDifference(plan: CachePlan, begun: LatentManifest): string | undefined {
  const flat = ({ origin, ...rest }: CachePlan): [string, unknown][] => Object.entries({ ...origin, ...rest });
  const there = new Map(flat(begun));
  for (const [key, value] of flat(plan)) {
    if (JSON.stringify(value) === JSON.stringify(there.get(key))) continue;
    return `expected a cache of ${key} ${show(there.get(key))} to go on with, received ${show(value)}`;
  }
  return undefined;
}
