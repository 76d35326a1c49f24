// What a pass found, read from its blocks in their order.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { mapFile, type Tensor } from '../tensor/index.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { sha256 } from '../util/digest.ts';
import { DataError } from '../util/errors.ts';
import { type BlockInfo, blockCount, blockFeatures, blockInfo } from './block.ts';
import type { PairName } from './pair-figures.ts';
import type { PictureSet, Unreadable } from './picture-set.ts';

export class PassResult {
  readonly set: PictureSet;
  readonly indices: readonly number[];
  readonly unreadable: readonly Unreadable[];
  /** Numbers of the pictures that are one single colour, and of those that hold nothing but 0 and 1. */
  readonly constant: readonly number[];
  readonly dark: readonly number[];
  /** How many pictures were cropped or resized. */
  readonly resized: number;
  /** SHA-256 of all pixels: equal for equal sets, however they are stored. */
  readonly digest: string;
  /** The same of the originals of pairs. */
  readonly originals: string | undefined;
  readonly #folder: string;
  readonly #blocks: readonly BlockInfo[];
  readonly #release: () => void;

  constructor(folder: string, set: PictureSet, release: () => void) {
    this.#folder = folder;
    this.#release = release;
    this.set = set;
    this.#blocks = Array.from({ length: blockCount(set) }, (_, block) => blockInfo(folder, block)!);
    this.indices = this.#blocks.flatMap((block) => block.indices);
    this.unreadable = this.#blocks.flatMap((block) => block.unreadable);
    this.constant = this.#blocks.flatMap((block) => block.constant);
    this.dark = this.#blocks.flatMap((block) => block.dark);
    this.resized = this.#blocks.reduce((sum, block) => sum + block.resized, 0);
    this.digest = digestOf(this.#blocks.map((block) => block.digest));
    const originals = this.#blocks.flatMap((block) => block.originals ?? []);
    this.originals = originals.length > 0 ? digestOf(originals) : undefined;
  }

  /** Pictures that could be read. */
  get count(): number {
    return this.indices.length;
  }

  /** Classes of the pictures; undefined where the set has none. */
  get labels(): number[] | undefined {
    const labelled = this.#blocks.every((block) => block.labels !== undefined);
    return labelled ? this.#blocks.flatMap((block) => block.labels!) : undefined;
  }

  /** A figure of every picture. */
  figures(name: PairName): number[] {
    return this.#blocks.flatMap((block) => block.figures[name] ?? []);
  }

  /** Features [n, D] of one block after another; each is freed when the next is asked for. DataError for NaN and infinity. */
  *features(layer: string): Generator<Tensor> {
    for (const [block, { broken }] of this.#blocks.entries()) {
      const wrong = broken[layer] ?? [];
      if (wrong.length > 0) {
        const names = wrong.slice(0, 3).map((index) => this.set.describe(index));
        throw new DataError(
          expected(`${this.set.name}: ${layer}`, 'finite features', `NaN or infinity for ${names.join(', ')}`),
        );
      }
      const rows = blockFeatures(this.#folder, block, layer);
      if (rows === undefined) continue;
      yield rows;
      rows.dispose();
    }
  }

  /** All features [N, D], float32, as pages of a file that is deleted already: memory that the system can take back. The caller frees them. */
  matrix(layer: string): Tensor {
    if (this.count === 0) throw new DataError(expected(this.set.name, 'pictures that can be read', 'none'));
    const path = join(this.#folder, 'features');
    let width = 0;
    const pieces = function* (parts: Iterable<Tensor>) {
      for (const rows of parts) {
        width = rows.size(1);
        yield rows.toBytes();
      }
    };
    writeFileAtomic(path, pieces(this.features(layer)));
    const features = mapFile(path, { shape: [this.count, width], dtype: 'f32' });
    rmSync(path);
    return features;
  }

  /** Removes what the pass kept on disk. */
  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
    this.#release();
  }

  /** Leaves it there, for the same evaluation to go on. */
  leave(): void {
    this.#release();
  }
}

function digestOf(parts: readonly string[]): string {
  return sha256([parts.join('\n')]);
}
