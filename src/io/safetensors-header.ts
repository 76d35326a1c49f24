// The header of a safetensors file: an int64 length, then JSON {name: {dtype, shape, data_offsets}}, then the data.
// Source: github.com/huggingface/safetensors. As strict as the original (no holes, overlaps or trailing bytes), and
// also refuses duplicate names where the original only stumbles over their offsets.

import { isUtf8 } from 'node:buffer';
import { DataError } from '../util/errors.ts';
import type { ByteSource } from './file-reader.ts';
import { describeContent } from './sniff.ts';
import { dtypeFrom, elementBytes, elementCount, STORAGE_DTYPES, type StorageDtype } from './storage-dtype.ts';
import { parseStrictJson, type StrictJson } from './strict-json.ts';

const MAX_HEADER = 100_000_000; // the original's limit

export interface SafetensorsEntry {
  dtype: StorageDtype;
  shape: readonly number[];
  /** From the start of the file. */
  offset: number;
  byteLength: number;
}

export interface SafetensorsHeader {
  /** In the order of the header. */
  tensors: Map<string, SafetensorsEntry>;
  metadata: Record<string, string>;
}

/** Parse and check the whole header; reads nothing of the data. DataError names the file and the reason. */
export function parseSafetensorsHeader(source: ByteSource): SafetensorsHeader {
  const { name, size } = source;
  if (size < 8) throw new DataError(`${name}: expected a safetensors file, received ${size} bytes.${hint(source)}`);
  const length = new DataView(source.read(0, 8).buffer).getBigUint64(0, true);
  if (length > BigInt(Math.min(size - 8, MAX_HEADER))) {
    throw new DataError(
      `${name}: expected a header that fits into the file (${size} bytes) and ${MAX_HEADER} bytes, received the length ${length}.${hint(source)}`,
    );
  }
  const dataStart = 8 + Number(length);
  const text = decodeUtf8(source.read(8, Number(length)), name);
  if (!text.startsWith('{')) {
    throw new DataError(
      `${name}: expected a header that begins with '{', received ${JSON.stringify(text.slice(0, 12))}.`,
    );
  }
  const json = parseStrictJson(text, name) as Map<string, StrictJson>;
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [key, value] of json) {
    if (key === '__metadata__') metadata = parseMetadata(value, name);
    else tensors.set(key, parseEntry(key, value, { file: name, dataStart }));
  }
  checkLayout(tensors, { name, size, dataStart });
  return { tensors, metadata };
}

function parseEntry(key: string, value: StrictJson, at: { file: string; dataStart: number }): SafetensorsEntry {
  const where = `${at.file}: tensor '${key}'`;
  if (!(value instanceof Map))
    throw new DataError(`${where}: expected {dtype, shape, data_offsets}, received no object.`);
  const dtypeName = value.get('dtype');
  const shape = value.get('shape');
  const offsets = value.get('data_offsets');
  const dtype = typeof dtypeName === 'string' ? dtypeFrom('safetensors', dtypeName) : undefined;
  if (dtype === undefined) {
    const known = Object.values(STORAGE_DTYPES).flatMap((info) => info.safetensors ?? []);
    throw new DataError(
      `${where}: expected a dtype among ${known.join(', ')}, received ${String(dtypeName ?? 'none')}.`,
    );
  }
  if (!isSizes(shape))
    throw new DataError(`${where}: expected a shape of non-negative integers, received ${written(shape)}.`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new DataError(`${where}: expected data_offsets [begin, end], received ${written(offsets)}.`);
  }
  const [begin = 0, end = 0] = offsets;
  if (end < begin) throw new DataError(`${where}: expected data_offsets in order, received [${begin}, ${end}].`);
  const count = elementCount(shape);
  const bytes = (count ?? Number.NaN) * elementBytes(dtype);
  if (bytes !== end - begin) {
    const needed = Number.isSafeInteger(bytes) ? `${bytes} bytes` : 'a size below 2^53';
    throw new DataError(
      `${where}: expected ${needed} for ${dtype} [${shape.join(', ')}], received data_offsets of ${end - begin} bytes.`,
    );
  }
  return { dtype, shape, offset: at.dataStart + begin, byteLength: bytes };
}

/** Every byte of the data belongs to exactly one tensor. */
function checkLayout(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  { name, size, dataStart }: { name: string; size: number; dataStart: number },
): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let position = dataStart;
  for (const [key, { offset, byteLength }] of inOrder) {
    if (offset !== position) {
      const what = offset < position ? 'overlap' : 'leave a hole';
      throw new DataError(
        `${name}: tensor '${key}': expected data_offsets from ${position - dataStart}, received ${offset - dataStart}: the data ranges ${what}.`,
      );
    }
    position += byteLength;
  }
  if (position !== size) {
    const what = position > size ? 'It is cut off.' : 'There are bytes after the last tensor.';
    throw new DataError(`${name}: expected a file of ${position} bytes by its header, received ${size}. ${what}`);
  }
}

function parseMetadata(value: StrictJson, name: string): Record<string, string> {
  if (!(value instanceof Map))
    throw new DataError(`${name}: expected __metadata__ to be an object, received ${written(value)}.`);
  for (const [key, text] of value) {
    if (typeof text !== 'string') {
      throw new DataError(`${name}: expected strings in __metadata__, received ${written(text)} for '${key}'.`);
    }
  }
  return Object.fromEntries(value as Map<string, string>);
}

function isSizes(value: StrictJson | undefined): value is number[] {
  return Array.isArray(value) && value.every((size) => typeof size === 'number' && size >= 0);
}

function written(value: StrictJson | undefined): string {
  if (value === undefined) return 'none';
  if (Array.isArray(value)) return `[${value.slice(0, 8).map(written).join(', ')}]`;
  if (value instanceof Map) return 'an object';
  return typeof value === 'object' && value !== null ? value.text : String(value);
}

function decodeUtf8(bytes: Uint8Array<ArrayBuffer>, name: string): string {
  if (!isUtf8(bytes)) throw new DataError(`${name}: expected a header in UTF-8, received other bytes.`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

function hint(source: ByteSource): string {
  const found = describeContent(source);
  return found ? ` It looks like ${found}.` : '';
}
