// Safetensors files: header, bytes, tensors (copied or memory-mapped), and a writer whose files equal the original
// library's byte for byte (same order, same padding). Source: github.com/huggingface/safetensors.

import { mapTensors, type Tensor } from '../tensor/index.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { DataError } from '../util/errors.ts';
import { type FileReader, withFile } from './file-reader.ts';
import { parseSafetensorsHeader, type SafetensorsEntry, type SafetensorsHeader } from './safetensors-header.ts';
import { elementBytes, elementCount, type RawTensor, STORAGE_DTYPES, type TensorBytes } from './storage-dtype.ts';
import { tensorDtype, toTensor } from './to-tensor.ts';

export type { SafetensorsEntry, SafetensorsHeader } from './safetensors-header.ts';

/** The checked header: what the file holds, where, and its metadata. Reads no tensor data. */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  return withFile(path, parseSafetensorsHeader);
}

export interface LoadOptions {
  /** Use the file's pages as memory: instant, nothing is read before it is used. For inference; default false. */
  mmap?: boolean;
  /** Load i8, i16, u16, u32, f8 as the next larger dtype instead of refusing them. */
  widen?: boolean;
}

/** Every tensor, in the order of the header; owned by the current scope. */
export function loadSafetensors(path: string, { mmap = false, widen = false }: LoadOptions = {}): Map<string, Tensor> {
  return withFile(path, (file) => {
    const { tensors } = parseSafetensorsHeader(file);
    const mapped = mmap ? mapEntries(file, tensors) : undefined;
    const read = (key: string, { dtype, shape, offset, byteLength }: SafetensorsEntry) =>
      toTensor({ dtype, shape, data: file.read(offset, byteLength) }, { widen, where: `${path}: '${key}'` });
    return new Map(Array.from(tensors, ([key, entry]) => [key, mapped?.get(key) ?? read(key, entry)]));
  });
}

/** Those of a dtype that tensors have, all in one mapping. */
function mapEntries(file: FileReader, entries: ReadonlyMap<string, SafetensorsEntry>): Map<string, Tensor> {
  const places = [...entries].flatMap(([key, { dtype, shape, offset }]) => {
    const direct = tensorDtype(dtype);
    return direct === undefined ? [] : [{ key, shape, offset, dtype: direct }];
  });
  const tensors = mapTensors(file.name, places, { fd: file.fd });
  return new Map(places.map(({ key }, i) => [key, tensors[i]!]));
}

/** Write tensors atomically. The file depends on content alone: it equals the original library's byte for byte. */
export function saveSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorBytes>,
  metadata?: Readonly<Record<string, string>>,
): void {
  writeFileAtomic(path, safetensorsPieces(tensors, metadata));
}

/** The bytes of such a file, one tensor in memory at a time. */
export function* safetensorsPieces(
  tensors: ReadonlyMap<string, TensorBytes>,
  metadata?: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const { header, order } = safetensorsLayout(tensors, metadata);
  yield header;
  for (const key of order) yield tensors.get(key)!.toBytes();
}

/** Every tensor as bytes, for dtypes that the tensor library lacks too. */
export function readSafetensorsRaw(path: string): Map<string, RawTensor> {
  return withFile(path, (file) => {
    const { tensors } = parseSafetensorsHeader(file);
    return new Map(
      Array.from(tensors, ([key, { dtype, shape, offset, byteLength }]) => [
        key,
        { dtype, shape, data: file.read(offset, byteLength) },
      ]),
    );
  });
}

/** The header bytes (with the length in front) and the order in which the data must follow. */
export function safetensorsLayout(
  tensors: ReadonlyMap<string, Pick<RawTensor, 'dtype' | 'shape'>>,
  metadata: Readonly<Record<string, string>> = {},
): { header: Uint8Array; order: string[] } {
  const rank = Object.keys(STORAGE_DTYPES);
  const byDtypeThenName = [...tensors].sort(
    ([a, { dtype: x }], [b, { dtype: y }]) =>
      rank.indexOf(y) - rank.indexOf(x) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(['__metadata__', metadata]);
  let offset = 0;
  for (const [key, { dtype, shape }] of byDtypeThenName) {
    const name = STORAGE_DTYPES[dtype].safetensors;
    if (name === undefined) throw new DataError(`saveSafetensors: '${key}': safetensors has no dtype ${dtype}.`);
    const end = offset + (elementCount(shape) ?? Number.NaN) * elementBytes(dtype);
    entries.push([key, { dtype: name, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(
    `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`,
  );
  const padded = Math.ceil(json.length / 8) * 8; // data stays aligned to the widest element
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return { header, order: byDtypeThenName.map(([key]) => key) };
}

/** Write tensors given as bytes, atomically. The file depends on content alone, not on the order of the map. */
export function saveSafetensorsRaw(
  path: string,
  tensors: ReadonlyMap<string, RawTensor>,
  metadata?: Readonly<Record<string, string>>,
): void {
  const { header, order } = safetensorsLayout(tensors, metadata);
  writeFileAtomic(path, [header, ...order.map((key) => tensors.get(key)!.data)]);
}
