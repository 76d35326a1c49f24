// Files of latents: `latents` [N, C, h, w] float32 with the `labels` [N] of their pictures, as safetensors or npz by the name's ending.
// What else there is to know (paths, class names, whether statistics were applied) is JSON: in safetensors as the metadata `rae.latents`,
// in npz as the bytes of an array `info`: json.loads(bytes(file['info'])).

import type { NpyArray } from '../io/npy.ts';
import { loadNpz, type NpyStream, saveNpz } from '../io/npz.ts';
import { readSafetensorsHeader, safetensorsLayout } from '../io/safetensors.ts';
import { fileKind } from '../io/tensor-file.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { asObject, parseJson } from '../util/json.ts';
import { Spool } from './spool.ts';
import { isNpz } from './tensors.ts';

export interface LatentInfo {
  /** Whether the statistics of the model were applied. */
  normalized: boolean;
  /** Paths of the pictures below the input folder. */
  paths: string[];
  /** Class names by label. */
  classes: readonly string[];
}

const KEY = 'rae.latents';

/** Collects latents in the order they are added; `finish` writes the file. */
export class LatentWriter {
  readonly #path: string;
  readonly #spool: Spool;
  readonly #labels: number[] = [];
  readonly #paths: string[] = [];

  constructor(path: string) {
    checkEnding('--out', path);
    this.#path = path;
    this.#spool = new Spool(path);
  }

  get count(): number {
    return this.#labels.length;
  }

  /** One batch: float32 latents as bytes, with a label and a path each. */
  add(latents: Uint8Array, labels: ArrayLike<number>, paths: readonly string[]): void {
    this.#spool.append(latents);
    this.#labels.push(...Array.from(labels));
    this.#paths.push(...paths);
  }

  /** Writes the file, whole or not at all. `shape` is that of one latent. */
  finish(shape: readonly number[], { normalized, classes }: Omit<LatentInfo, 'paths'>): void {
    const info = JSON.stringify({ normalized, paths: this.#paths, classes } satisfies LatentInfo);
    const labels = BigInt64Array.from(this.#labels, BigInt);
    const latents = { dtype: 'f32', shape: [this.count, ...shape] } as const;
    const labelled = { dtype: 'i64', shape: [this.count] } as const;
    if (this.#path.endsWith('.npz')) {
      const text = new TextEncoder().encode(info);
      const arrays = new Map<string, NpyArray | NpyStream>();
      arrays.set('latents', { ...latents, pieces: this.#spool.pieces() });
      arrays.set('labels', { ...labelled, data: labels });
      arrays.set('info', { dtype: 'u8', shape: [text.length], data: text });
      saveNpz(this.#path, arrays);
      return;
    }
    const sizes = new Map<string, Pick<NpyArray, 'dtype' | 'shape'>>([
      ['latents', latents],
      ['labels', labelled],
    ]);
    const { header, order } = safetensorsLayout(sizes, { [KEY]: info });
    const data = { latents: () => this.#spool.pieces(), labels: () => [new Uint8Array(labels.buffer)] };
    writeFileAtomic(this.#path, pieces());

    function* pieces(): Generator<Uint8Array> {
      yield header;
      for (const key of order) yield* data[key as keyof typeof data]();
    }
  }

  dispose(): void {
    this.#spool.dispose();
  }
}

/** What a file of latents says of itself; undefined for a file from elsewhere. */
export function readLatentInfo(path: string): LatentInfo | undefined {
  const kind = fileKind(path);
  if (kind === 'safetensors') return parseInfo(path, readSafetensorsHeader(path).metadata[KEY]);
  if (kind !== 'zip' || !isNpz(path)) return undefined;
  const info = loadNpz(path).get('info');
  return info?.data instanceof Uint8Array ? parseInfo(path, new TextDecoder().decode(info.data)) : undefined;
}

/** Refuses names that end neither in .npz nor in .safetensors. */
export function checkEnding(where: string, path: string): void {
  if (/\.(npz|safetensors)$/.test(path)) return;
  throw new ConfigError(expected(where, 'a name ending in .safetensors or .npz', path));
}

function parseInfo(path: string, text: string | undefined): LatentInfo | undefined {
  if (text === undefined) return undefined;
  const info = asObject(parseJson(text, `${path}: what is said beside the latents`), path);
  const isTexts = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (typeof info.normalized === 'boolean' && isTexts(info.paths) && isTexts(info.classes)) {
    return info as unknown as LatentInfo;
  }
  throw new DataError(`${path}: expected normalized, paths and classes beside the latents, received something else.`);
}
