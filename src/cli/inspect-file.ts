// What a file of tensors holds, from its header alone: safetensors (also sharded), PyTorch checkpoints, NumPy archives and arrays.

import { basename } from 'node:path';
import { constants, inflateRawSync } from 'node:zlib';
import { isNpz } from '../inference/tensors.ts';
import { type ByteSource, memorySource, withFile } from '../io/file-reader.ts';
import { parseNpyHeader } from '../io/npy.ts';
import { readSafetensorsHeader } from '../io/safetensors.ts';
import { readShardIndex } from '../io/sharded.ts';
import { describeContent } from '../io/sniff.ts';
import { elementBytes, elementCount, type StorageDtype } from '../io/storage-dtype.ts';
import { fileKind } from '../io/tensor-file.ts';
import { collectTensors, type PyValue, readTorch } from '../io/torch-pickle/index.ts';
import { type ZipEntry, ZipReader } from '../io/zip.ts';
import { DataError } from '../util/errors.ts';

export interface TensorEntry {
  name: string;
  dtype: StorageDtype;
  shape: readonly number[];
}

export interface Listing {
  format: 'safetensors' | 'sharded safetensors' | 'PyTorch checkpoint' | 'npz' | 'npy';
  /** Bytes of the file. */
  size: number;
  tensors: TensorEntry[];
  metadata: Record<string, string>;
}

/** Lists the tensors of a file. DataError for what is none. */
export function listTensors(path: string): Listing {
  const { size, found } = withFile(path, (file) => ({ size: file.size, found: describeContent(file) }));
  const kind = fileKind(path);
  if (kind === 'safetensors') return { format: 'safetensors', size, ...fromSafetensors(path) };
  if (kind === 'npy')
    return {
      format: 'npy',
      size,
      tensors: [withFile(path, (file) => entryOf(basename(path, '.npy'), file))],
      metadata: {},
    };
  if (kind === 'zip' && isNpz(path)) return { format: 'npz', size, tensors: fromNpz(path), metadata: {} };
  if (kind === 'zip' || kind === 'torch-legacy') return { format: 'PyTorch checkpoint', size, ...fromTorch(path) };
  if (path.endsWith('.json')) return { format: 'sharded safetensors', size, tensors: fromShards(path), metadata: {} };
  throw new DataError(
    `${path}: expected a file of tensors (safetensors, PyTorch, npz, npy), received ${found ?? 'something else'}.`,
  );
}

/** Elements of all tensors. */
export function countElements(tensors: readonly TensorEntry[]): number {
  return tensors.reduce((sum, { shape }) => sum + (elementCount(shape) ?? 0), 0);
}

/** Bytes of all tensors. */
export function countBytes(tensors: readonly TensorEntry[]): number {
  return tensors.reduce((sum, { shape, dtype }) => sum + (elementCount(shape) ?? 0) * elementBytes(dtype), 0);
}

function fromSafetensors(path: string): Pick<Listing, 'tensors' | 'metadata'> {
  const { tensors, metadata } = readSafetensorsHeader(path);
  return { tensors: Array.from(tensors, ([name, { dtype, shape }]) => ({ name, dtype, shape })), metadata };
}

function fromShards(path: string): TensorEntry[] {
  return Array.from(readShardIndex(path), ([name, { dtype, shape }]) => ({ name, dtype, shape }));
}

/** Plain values at the top (step, epoch) stand for the metadata that the format lacks. */
function fromTorch(path: string): Pick<Listing, 'tensors' | 'metadata'> {
  const root = readTorch(path);
  const tensors = Array.from(collectTensors(root, { name: path }), ([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
  }));
  return { tensors, metadata: plainValues(root) };
}

function plainValues(root: PyValue): Record<string, string> {
  if (!(root instanceof Map)) return {};
  return Object.fromEntries(
    [...root].flatMap(([key, value]) =>
      typeof key === 'string' && ['string', 'number', 'bigint', 'boolean'].includes(typeof value)
        ? [[key, String(value).slice(0, 200)]]
        : [],
    ),
  );
}

function fromNpz(path: string): TensorEntry[] {
  return withFile(path, (file) => {
    const zip = new ZipReader(file);
    return [...zip.entries.values()]
      .filter(({ name }) => name.endsWith('.npy'))
      .map((entry) => entryOf(entry.name.slice(0, -4), headOf(file, zip, entry)));
  });
}

function entryOf(name: string, source: ByteSource): TensorEntry {
  const { dtype, shape } = parseNpyHeader(source);
  return { name, dtype, shape };
}

/** Enough of a deflated entry to see its header; at most a thousand times as much can come out. */
const COMPRESSED_HEAD = 4096;

/** An entry as a source of which only the beginning can be read. */
function headOf(file: ByteSource, zip: ZipReader, { name, method, size, compressedSize }: ZipEntry): ByteSource {
  const offset = zip.dataOffset(name);
  const where = `${file.name}: entry '${name}'`;
  if (method === 0) return { name: where, size, read: (at, length) => file.read(offset + at, length) };
  const some = file.read(offset, Math.min(compressedSize, COMPRESSED_HEAD));
  const head = memorySource(inflateRawSync(some, { finishFlush: constants.Z_SYNC_FLUSH }), where);
  return { name: where, size, read: (at, length) => head.read(at, length) };
}
