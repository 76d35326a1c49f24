// Reads the pictures of one batch, and deals with those that cannot be read: each is named once and counted; in training the
// next readable picture of the set takes its place, so that batches stay full and the outcome does not depend on timing.
import { DataError } from '../util/errors.ts';
import { Draws, stream } from './random.ts';
import type { PictureSource } from './source.ts';

export interface Batch {
  /** RGB bytes [B, side, side, 3]. */
  images: Uint8Array;
  /** [B] */
  labels: Int32Array;
  /** [B], numbers in the source. */
  indices: Int32Array;
}

export interface Unreadable {
  readonly index: number;
  /** Names the picture and says what is wrong. */
  readonly message: string;
}

/** Pictures that a message names. */
const NAMED = 3;

export class BatchReader {
  readonly #source: PictureSource;
  readonly #seed: number;
  readonly #onUnreadable: (picture: Unreadable) => void;
  readonly #bad = new Map<number, string>(); // number -> what is wrong

  constructor(source: PictureSource, options: { seed?: number; onUnreadable?: (picture: Unreadable) => void } = {}) {
    this.#source = source;
    this.#seed = options.seed ?? 0;
    this.#onUnreadable = options.onUnreadable ?? (() => {});
  }

  /** How many pictures could not be read so far. */
  get unreadable(): number {
    return this.#bad.size;
  }

  /** A full batch for these places of the order. DataError when no picture of the set can be read. */
  async readFull(places: ArrayLike<number>, epoch: number): Promise<Batch> {
    return this.#read(places, async (place, into) => {
      for (let step = 0; step < this.#source.size; step++) {
        const index = (place + step) % this.#source.size;
        if (await this.#readOne(index, this.#draws(epoch, place), into)) return index;
      }
      throw this.#nothing();
    });
  }

  /** The pictures of these numbers that can be read. */
  async readThese(indices: ArrayLike<number>, epoch = 0): Promise<Batch> {
    return this.#read(indices, async (index, into) =>
      (await this.#readOne(index, this.#draws(epoch, index), into)) ? index : undefined,
    );
  }

  /** Names the first few. */
  #nothing(): DataError {
    const { name, size } = this.#source;
    const named = [...this.#bad.values()].slice(0, NAMED).map((message) => message.replace(/\.$/, ''));
    const more = size - named.length;
    return new DataError(
      `${name}: none of its ${size} pictures can be read: ${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}.`,
    );
  }

  #draws(epoch: number, index: number): Draws {
    return new Draws(stream.crop, this.#seed, epoch, index);
  }

  async #read(
    places: ArrayLike<number>,
    readInto: (place: number, into: Uint8Array) => Promise<number | undefined>,
  ): Promise<Batch> {
    const bytes = this.#source.side ** 2 * 3;
    const images = new Uint8Array(places.length * bytes);
    const read = await Promise.all(
      Array.from(places, (place, i) => readInto(place, images.subarray(i * bytes, (i + 1) * bytes))),
    );
    const kept = read.flatMap((index, i) => (index === undefined ? [] : [{ index, i }]));
    for (const [to, { i }] of kept.entries()) if (to < i) images.copyWithin(to * bytes, i * bytes, (i + 1) * bytes);
    return {
      images: images.subarray(0, kept.length * bytes),
      labels: Int32Array.from(kept, ({ index }) => this.#source.label(index)),
      indices: Int32Array.from(kept, ({ index }) => index),
    };
  }

  /** False when the picture cannot be read. */
  async #readOne(index: number, draws: Draws, into: Uint8Array): Promise<boolean> {
    if (this.#bad.has(index)) return false;
    try {
      await this.#source.read(index, draws, into);
      return true;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      if (!this.#bad.has(index)) {
        this.#bad.set(index, error.message);
        this.#onUnreadable({ index, message: error.message });
      }
      return false;
    }
  }
}
