// One array of an .npz (or an .npy) read a few rows at a time, for batches of pictures that are larger than memory. Stored entries, as
// np.savez writes them, are read in place; a compressed one is inflated once into a temporary file. Check sums are not verified.

import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';
import { type ByteSource, FileReader } from './file-reader.ts';
import { parseNpyHeader } from './npy.ts';
import { sniff } from './sniff.ts';
import { elementBytes, type StorageDtype } from './storage-dtype.ts';
import { ZipReader } from './zip.ts';

export interface ArrayRows {
  readonly dtype: StorageDtype;
  readonly shape: readonly number[];
  /** Bytes of rows `start` to `start + count - 1` along the first axis. */
  read(start: number, count: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

/** The keys of an archive, without `.npy`; none for a lone array. */
export function npzKeys(path: string): string[] {
  const file = new FileReader(path);
  try {
    if (sniff(file) === 'npy') return [];
    return [...new ZipReader(file).entries.keys()].flatMap((name) =>
      name.endsWith('.npy') ? [name.slice(0, -4)] : [],
    );
  } finally {
    file.close();
  }
}

/** Opens the first of `keys` that the file has; a lone .npy has one array and no keys. DataError lists what is there. */
export async function openArray(path: string, keys: readonly string[]): Promise<ArrayRows> {
  const file = new FileReader(path);
  try {
    if (sniff(file) === 'npy') return rowsOf(file, () => file.close());
    const zip = new ZipReader(file);
    const key = keys.find((name) => zip.entries.has(`${name}.npy`));
    if (key === undefined) throw new DataError(expected(path, `an array ${keys.join(' or ')}`, npzKeys(path)));
    const { method, size, compressedSize } = zip.get(`${key}.npy`);
    const offset = zip.dataOffset(`${key}.npy`);
    const name = `${path}: ${key}`;
    if (method === 0) return rowsOf(within(file, { name, offset, size }), () => file.close());
    file.close();
    return await inflated(path, { name, offset, compressedSize, size });
  } catch (error) {
    file.close();
    throw error;
  }
}

interface Entry {
  name: string;
  offset: number;
  size: number;
}

function within(file: FileReader, { name, offset, size }: Entry): ByteSource {
  return {
    name,
    size,
    read(at, length) {
      if (at + length > size) throw new DataError(`${name}: expected ${at + length} bytes, received ${size}.`);
      return file.read(offset + at, length);
    },
  };
}

async function inflated(path: string, { name, offset, compressedSize, size }: Entry & { compressedSize: number }) {
  const folder = mkdtempSync(join(tmpdir(), 'rae-npz-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const target = join(folder, 'array.npy');
    const from = createReadStream(path, { start: offset, end: offset + compressedSize - 1 });
    await pipeline(from, createInflateRaw(), bounded(name, size), createWriteStream(target)).catch((cause) => {
      throw cause instanceof DataError ? cause : new DataError(`${name}: the deflated data is damaged.`, { cause });
    });
    const file = new FileReader(target);
    return rowsOf(file, () => {
      file.close();
      remove();
    });
  } catch (error) {
    remove();
    throw error;
  }
}

/** Lets through as many bytes as the directory promises: a bomb ends here. */
function bounded(name: string, size: number) {
  return async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let length = 0;
    for await (const piece of pieces) {
      length += piece.length;
      if (length > size) throw new DataError(expected(name, `${size} bytes`, 'more', 'The archive is damaged.'));
      yield piece;
    }
  };
}

function rowsOf(source: ByteSource, close: () => void): ArrayRows {
  const { dtype, shape, fortranOrder, bigEndian, dataOffset } = parseNpyHeader(source);
  if ((fortranOrder && shape.length > 1) || (bigEndian && elementBytes(dtype) > 1) || shape.length === 0) {
    const next = 'Save it again with numpy.ascontiguousarray.';
    throw new DataError(expected(source.name, 'a row-major little-endian array', 'another order', next));
  }
  const rowBytes = shape.slice(1).reduce((a, b) => a * b, elementBytes(dtype));
  return {
    dtype,
    shape,
    read: (start, count) => source.read(dataOffset + start * rowBytes, count * rowBytes),
    close,
  };
}
