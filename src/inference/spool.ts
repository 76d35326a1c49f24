// Bytes on their way to a file whose header needs to know how many there are: written to a temporary file as they come, read back when
// the real one is written. So pictures and latents never have to fit into memory, and nothing half-written bears the real name.

import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { removeAbandoned } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';
import { failpoint } from '../util/failpoint.ts';
import { makeFolder, writing } from '../util/storage.ts';

const CHUNK = 16 << 20;

export class Spool {
  readonly #path: string;
  readonly #fd: number;
  readonly #keep: boolean;
  #length = 0;
  #closed = false;

  /**
   * A temporary file beside `target`; makes its folder. Dispose it in any case. With `goOn` the file is `target` itself and survives:
   * its first `goOn` bytes are kept, what lies behind them is cut off. DataError where it holds fewer.
   */
  constructor(target: string, { goOn }: { goOn?: number } = {}) {
    makeFolder(dirname(target));
    this.#keep = goOn !== undefined;
    if (!this.#keep) removeAbandoned(target);
    this.#path = this.#keep ? target : join(dirname(target), `.${basename(target)}.spool.${process.pid}.tmp`);
    this.#fd = writing(target, () => openSync(this.#path, this.#keep ? 'a+' : 'w+'));
    if (goOn === undefined) return;
    const { size } = fstatSync(this.#fd);
    if (size < goOn) {
      closeSync(this.#fd);
      throw new DataError(expected(target, `at least ${goOn} bytes`, size, 'It was damaged: begin anew.'));
    }
    ftruncateSync(this.#fd, goOn);
    this.#length = goOn;
  }

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    let at = 0;
    if (process.env.RAE_FAILPOINT !== undefined) {
      at += writeSync(this.#fd, bytes, 0, Math.floor(bytes.length / 2));
      failpoint('spool-mid-write');
    }
    writing(this.#path, () => {
      while (at < bytes.length) at += writeSync(this.#fd, bytes, at, bytes.length - at);
    });
    this.#length += bytes.length;
  }

  /** Waits until everything appended is on the disk. */
  sync(): void {
    writing(this.#path, () => fsyncSync(this.#fd));
  }

  /** Everything appended so far, in order, in pieces of `size` bytes (the last may be shorter). */
  *pieces(size = CHUNK): Generator<Uint8Array> {
    for (let at = 0; at < this.#length; ) {
      const piece = new Uint8Array(Math.min(size, this.#length - at));
      for (let got = 0; got < piece.length; ) got += readSync(this.#fd, piece, got, piece.length - got, at + got);
      yield piece;
      at += piece.length;
    }
  }

  dispose(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
    if (!this.#keep) rmSync(this.#path, { force: true });
  }
}
