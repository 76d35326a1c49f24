// What training and evaluation read pictures from: a numbered set of squares, each with a label. Folders, the embedded set
// and arrays in memory all look like this; loader.ts puts an order and batches on top.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import type { Draws } from './random.ts';

export interface PictureSource {
  /** Where the pictures come from, for messages. */
  readonly name: string;
  /** Number of pictures. */
  readonly size: number;
  /** Pixels on a side. */
  readonly side: number;
  readonly classes: readonly string[];
  label(index: number): number;
  /** Names one picture in messages: its path. */
  describe(index: number): string;
  /**
   * Writes picture `index` as RGB bytes [side, side, 3]. What is random about it comes from `draws` alone.
   * DataError when this picture cannot be read; any other error is not the picture's fault.
   */
  read(index: number, draws: Draws, into: Uint8Array): Promise<void>;
}

/** Pictures that are in memory already: bytes [size, side, side, 3]. */
export function memorySource(options: {
  name: string;
  images: Uint8Array;
  labels: ArrayLike<number>;
  side: number;
  classes: readonly string[];
}): PictureSource {
  const { name, images, labels, side, classes } = options;
  const bytes = side * side * 3;
  if (images.length !== labels.length * bytes) {
    throw new ArgumentError(expected('memorySource', `${labels.length * bytes} bytes`, images.length));
  }
  return {
    name,
    size: labels.length,
    side,
    classes,
    label: (index) => labels[index]!,
    describe: (index) => `${name}[${index}]`,
    async read(index, _draws, into) {
      into.set(images.subarray(index * bytes, (index + 1) * bytes));
    },
  };
}

/** Some pictures of a source, renumbered: for holding out a part of a set that has none. */
export function subset(source: PictureSource, indices: readonly number[]): PictureSource {
  for (const index of indices) {
    if (!(Number.isInteger(index) && index >= 0 && index < source.size)) {
      throw new ArgumentError(expected('subset', `indices from 0 to ${source.size - 1}`, index));
    }
  }
  return {
    name: source.name,
    size: indices.length,
    side: source.side,
    classes: source.classes,
    label: (i) => source.label(indices[i]!),
    describe: (i) => source.describe(indices[i]!),
    read: (i, draws, into) => source.read(indices[i]!, draws, into),
  };
}

/** `count` indices spread evenly over `size`, so that a set sorted by class shows all of them. */
export function spreadIndices(size: number, count: number): number[] {
  const n = Math.min(size, count);
  return Array.from({ length: n }, (_, i) => Math.floor(((i + 0.5) * size) / n));
}

/** Exchanges left and right of RGB bytes [side, side, 3] in place. */
export function mirrorInPlace(data: Uint8Array, side: number): void {
  for (let row = 0; row < side; row++) {
    for (let left = 0, right = side - 1; left < right; left++, right--) {
      for (let c = 0; c < 3; c++) {
        const a = (row * side + left) * 3 + c;
        const b = (row * side + right) * 3 + c;
        const held = data[a]!;
        data[a] = data[b]!;
        data[b] = held;
      }
    }
  }
}
