// Forward reading of a pickle from a file of any size, through a small window.

import { DataError } from '../../util/errors.ts';
import type { ByteSource } from '../file-reader.ts';

const WINDOW = 1 << 16;
const MAX_LINE = 1 << 12; // text opcodes (protocol 0) hold names and numbers

export class PickleInput {
  readonly name: string;
  readonly #source: ByteSource;
  #window: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #start = 0;
  #at = 0;

  constructor(source: ByteSource, start = 0) {
    this.#source = source;
    this.name = source.name;
    this.#start = start;
  }

  /** Position in the source. */
  get position(): number {
    return this.#start + this.#at;
  }

  byte(): number {
    return this.#at < this.#window.length ? this.#window[this.#at++]! : this.bytes(1)[0]!;
  }

  /** Valid until the next call. Refuses lengths beyond the end before allocating. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.#source.size - this.position) {
      throw new DataError(
        `${this.name}: expected ${length} more bytes of pickle at ${this.position}, received ${this.#source.size - this.position}. The file is cut off or damaged.`,
      );
    }
    if (this.#at + length > this.#window.length) {
      const start = this.position;
      this.#window = this.#source.read(start, Math.min(Math.max(length, WINDOW), this.#source.size - start));
      this.#start = start;
      this.#at = 0;
    }
    this.#at += length;
    return this.#window.subarray(this.#at - length, this.#at);
  }

  /** Unsigned little-endian integer of 1 to 8 bytes. */
  uint(width: number): number {
    let value = 0;
    for (let i = 0, scale = 1; i < width; i++, scale *= 256) value += this.byte() * scale;
    if (!Number.isSafeInteger(value))
      throw new DataError(`${this.name}: expected a length below 2^53, received ${value}.`);
    return value;
  }

  int32(): number {
    return this.uint(4) | 0;
  }

  float64(): number {
    const bytes = this.bytes(8);
    return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, false);
  }

  /** Up to the next newline, without it. */
  line(): string {
    const characters: number[] = [];
    for (let byte = this.byte(); byte !== 0x0a; byte = this.byte()) {
      characters.push(byte);
      if (characters.length > MAX_LINE)
        throw new DataError(`${this.name}: expected lines of at most ${MAX_LINE} bytes in the pickle.`);
    }
    return new TextDecoder('latin1').decode(Uint8Array.from(characters));
  }
}
