// Bytes on their way to a file whose header needs to know how many there are: written to a temporary file as they come, read back when
// the real one is written. So pictures and latents never have to fit into memory, and nothing half-written bears the real name.

import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const CHUNK = 16 << 20;

export class Spool {
  readonly #path: string;
  readonly #fd: number;
  #length = 0;

  /** A temporary file beside `target`; makes its folder. Dispose it in any case. */
  constructor(target: string) {
    mkdirSync(dirname(target), { recursive: true });
    this.#path = join(dirname(target), `.${basename(target)}.spool.${process.pid}.tmp`);
    this.#fd = openSync(this.#path, 'w+');
  }

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at);
    this.#length += bytes.length;
  }

  /** Everything appended so far, in order. */
  *pieces(): Generator<Uint8Array> {
    const buffer = new Uint8Array(Math.min(CHUNK, this.#length));
    for (let at = 0; at < this.#length; ) {
      const got = readSync(this.#fd, buffer, 0, Math.min(buffer.length, this.#length - at), at);
      yield buffer.slice(0, got);
      at += got;
    }
  }

  dispose(): void {
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
  }
}
