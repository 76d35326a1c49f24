// Latents of a set of pictures, encoded once: what stage 2 trains on without an encoder in memory.
//   DIR/manifest.json  stats.safetensors  shard-00000.safetensors ...
// A shard holds consecutive pictures: `latents` [n, 1 or 2, C, h, w] as the encoder gives them (raw, float32 or bfloat16; the second one of
// the mirrored picture), `labels` [n] and `indices` [n], the pictures' numbers in their source. Pictures that could not be read have no row.
// Shards are memory-mapped: a batch reads its own rows. The statistics that normalise the latents lie beside them.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadSafetensors } from '../io/safetensors.ts';
import { dispose, keep, stack, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { sha256, sha256OfFile } from '../util/digest.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { readJson } from '../util/json.ts';

/** What made the latents: a run on them must be of the same. */
export interface LatentOrigin {
  /** SHA-256 of the encoder as saveEncoder writes it. */
  encoder: string;
  /** Side in pixels of what the encoder sees. */
  encoder_input_size: number;
  /** Side in pixels of the squares cut from the pictures. */
  image_size: number;
  crop: 'center';
  /** Whether orientation tags were applied. */
  exif: boolean;
  precision: 'fp32' | 'bf16';
}

export interface ShardEntry {
  file: string;
  bytes: number;
  sha256: string;
}

export interface LatentManifest {
  format: 'rae-latents';
  version: 1;
  origin: LatentOrigin;
  dtype: 'f32' | 'bf16';
  /** Of one latent: [C, h, w]. */
  shape: [number, number, number];
  /** Whether every picture is stored mirrored, too. */
  flips: boolean;
  /** Pictures of the source, unreadable ones included. */
  pictures: number;
  /** SHA-256 of the pictures' names, by which a cache that was interrupted knows them again. */
  names: string;
  classes: string[];
  /** Pictures a shard, the last one aside. */
  per_shard: number;
  shards: ShardEntry[];
  /** Digest of the statistics (statisticsDigest); written last: without it the cache is not complete. */
  statistics?: string;
}

export const MANIFEST = 'manifest.json';
export const STATISTICS = 'stats.safetensors';

/** The manifest of a folder, complete or not; undefined where there is none. DataError when it is none of ours. */
export function readManifest(folder: string): LatentManifest | undefined {
  const path = join(folder, MANIFEST);
  if (!existsSync(path)) return undefined;
  const manifest = readJson(path) as Partial<LatentManifest> | null;
  const sound =
    manifest?.format === 'rae-latents' &&
    Array.isArray(manifest.shape) &&
    Array.isArray(manifest.shards) &&
    Array.isArray(manifest.classes) &&
    typeof manifest.origin?.encoder === 'string';
  if (!sound || manifest.version !== 1) {
    throw new DataError(
      `${path}: expected a manifest of latents, version 1, received another. Encode the pictures anew.`,
    );
  }
  return manifest as LatentManifest;
}

/** Names statistics by their tensors: mean (may be missing) and var. */
export function statisticsDigest(moments: ReadonlyMap<string, Tensor>): string {
  const names = [...moments.keys()].sort();
  return sha256(names.flatMap((name) => [name, tidy(() => moments.get(name)!.to('f32').toBytes())]));
}

/** A numbered set of latents with labels, as training and evaluation read them. */
export class LatentCache {
  readonly folder: string;
  readonly manifest: LatentManifest;
  readonly #shards: Tensor[] = []; // [n, 1 or 2, C, h, w] each
  /** By picture: its shard and row, or nothing. */
  readonly #rows: ({ shard: number; row: number; label: number } | undefined)[];

  private constructor(folder: string, manifest: LatentManifest) {
    this.folder = folder;
    this.manifest = manifest;
    this.#rows = new Array(manifest.pictures).fill(undefined);
  }

  /**
   * Opens a cache; `complete: false` takes what is there of one. `verify` reads every byte and compares checksums. ConfigError when there is
   * no complete cache, DataError when a shard is missing, of another size, or damaged.
   */
  static open(
    folder: string,
    {
      verify = false,
      complete = true,
      flag = '--latents',
    }: { verify?: boolean; complete?: boolean; flag?: string } = {},
  ): LatentCache {
    const manifest = readManifest(folder);
    if (manifest === undefined) {
      const next = 'Make one with `rae encode --cache DIR`.';
      throw new ConfigError(expected(flag, `a cache of latents (a folder with ${MANIFEST})`, folder, next));
    }
    if (complete && manifest.statistics === undefined) {
      const done = `${manifest.shards.length} of ${Math.ceil(manifest.pictures / manifest.per_shard)} shards`;
      throw new ConfigError(
        `${flag}: expected a complete cache, received '${folder}' with ${done}. Run its \`rae encode --cache\` again: it goes on.`,
      );
    }
    const cache = new LatentCache(folder, manifest);
    for (const entry of manifest.shards) cache.#map(entry, verify);
    return cache;
  }

  get size(): number {
    return this.manifest.pictures;
  }

  get classes(): readonly string[] {
    return this.manifest.classes;
  }

  /** Pictures that could be read. */
  get present(): number {
    return this.#rows.reduce((sum, row) => sum + (row ? 1 : 0), 0);
  }

  /** Undefined for a picture that could not be read. */
  label(index: number): number | undefined {
    return this.#rows[index]?.label;
  }

  /** Raw latents of these pictures, all of which must be present: float32 [n, C, h, w]. `mirrored` needs a cache with flips. */
  read(indices: readonly number[], mirrored: readonly boolean[] = []): Tensor {
    return tidy(() => {
      const rows = indices.map((index, i) => {
        const found = this.#rows[index];
        if (found === undefined)
          throw new DataError(`${this.folder}: expected picture ${index} to be cached, received none.`);
        if (mirrored[i] && !this.manifest.flips)
          throw new DataError(`${this.folder}: expected mirrored latents, received none.`);
        return this.#shards[found.shard]!.select(0, found.row).select(0, mirrored[i] ? 1 : 0); // [C, h, w]
      });
      return stack(rows, 0).to('f32');
    });
  }

  dispose(): void {
    for (const shard of this.#shards) shard.dispose();
  }

  #map({ file, bytes, sha256: wanted }: ShardEntry, verify: boolean): void {
    const path = join(this.folder, file);
    const found = statSync(path, { throwIfNoEntry: false })?.size;
    if (found !== bytes) {
      throw new DataError(expected(path, `${bytes} bytes`, found ?? 'no such file', 'Encode the pictures anew.'));
    }
    if (verify && sha256OfFile(path) !== wanted) {
      throw new DataError(
        `${path}: expected the bytes that were written, received others (its checksum differs). Encode the pictures anew.`,
      );
    }
    const shard = loadSafetensors(path, { mmap: true });
    const latents = shard.get('latents');
    const [labels, indices] = ['labels', 'indices'].map((key) => shard.get(key)?.toNumbers()) as [number[], number[]];
    const { shape, flips, pictures, dtype, classes } = this.manifest;
    const want = [labels?.length, flips ? 2 : 1, ...shape];
    if (
      !latents ||
      !labels ||
      indices?.length !== labels.length ||
      latents.shape.join() !== want.join() ||
      latents.dtype !== dtype
    ) {
      dispose(shard);
      throw new DataError(
        `${path}: expected latents [n, ${want.slice(1).join(', ')}] with labels and indices, received something else.`,
      );
    }
    for (const [row, index] of indices.entries()) {
      if (index < 0 || index >= pictures) throw new DataError(expected(path, `indices below ${pictures}`, index));
      const label = labels[row]!;
      if (label < 0 || label >= classes.length) {
        throw new DataError(
          expected(path, `labels of its ${classes.length} classes`, label, 'Encode the pictures anew.'),
        );
      }
      this.#rows[index] = { shard: this.#shards.length, row, label };
    }
    shard.delete('latents');
    dispose(shard);
    this.#shards.push(keep(latents));
  }
}
