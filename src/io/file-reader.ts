// Bounded reading of local files: every parser of this folder gets its bytes here.
// The size is taken once from the open descriptor; a range outside it is refused before anything is allocated,
// so that sizes claimed by a file's own header can never cause an allocation larger than the file.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DataError } from '../util/errors.ts';

const CHUNK = 1 << 30; // readSync takes at most 2^31 - 1 bytes at once

/** Random access to bytes: a file, or an archive already in memory. */
export interface ByteSource {
  /** Name for error messages, usually the path. */
  readonly name: string;
  readonly size: number;
  /** A fresh copy of `length` bytes from `offset`; DataError outside the source. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

/** An open regular file. Close it, or use `withFile`. */
export class FileReader implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #fd: number;

  constructor(path: string) {
    this.name = path;
    try {
      this.#fd = openSync(path, 'r');
    } catch (error) {
      throw unreadable(path, error);
    }
    const stat = fstatSync(this.#fd);
    if (!stat.isFile()) {
      closeSync(this.#fd);
      throw new DataError(`${path}: expected a file, received ${stat.isDirectory() ? 'a folder' : 'something else'}.`);
    }
    this.size = stat.size;
  }

  /** The open descriptor: a file of this name may be another one by now. */
  get fd(): number {
    return this.#fd;
  }

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const got = readSync(this.#fd, bytes, done, Math.min(length - done, CHUNK), offset + done);
      if (got === 0) throw new DataError(`${this.name}: the file shrank while it was read.`);
      done += got;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Bytes in memory as a source (an .npy inside an .npz, a download, a test). */
export function memorySource(bytes: Uint8Array, name: string): ByteSource {
  const source: ByteSource = {
    name,
    size: bytes.byteLength,
    read(offset, length) {
      checkRange(source, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
  };
  return source;
}

/** Open, use, close. */
export function withFile<T>(path: string, use: (file: FileReader) => T): T {
  const file = new FileReader(path);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

function checkRange(source: ByteSource, offset: number, length: number): void {
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!sound || offset + length > source.size) {
    throw new DataError(
      `${source.name}: expected ${length} bytes at offset ${offset}, received a file of ${source.size} bytes. It is cut off or its header lies.`,
    );
  }
}

/** The error for a path that cannot be opened, with the system's reason in words. */
export function unreadable(path: string, error: unknown): DataError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const reasons: Record<string, string> = {
    ENOENT: 'no such file',
    EACCES: 'permission denied',
    EISDIR: 'a folder',
    ENOTDIR: 'a part of the path is not a folder',
    EMFILE: 'too many open files',
  };
  return new DataError(`${path}: cannot be read (${reasons[code] ?? code}).`, { cause: error });
}
