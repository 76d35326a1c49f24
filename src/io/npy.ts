// NumPy arrays (.npy, versions 1 to 3). Source: numpy/lib/format.py. The header is a Python literal, read by a parser that
// knows nothing but literals; object arrays, which hold a pickle, and structured ones are refused.

import { DataError } from '../util/errors.ts';
import type { ByteSource } from './file-reader.ts';
import { parsePythonLiteral } from './python-literal.ts';
import { describeContent } from './sniff.ts';
import {
  dtypeFrom,
  elementBytes,
  elementCount,
  STORAGE_DTYPES,
  type StorageDtype,
  swapBytes,
} from './storage-dtype.ts';

/** Row-major elements. f16 as raw bits in a Uint16Array, bool as bytes, complex numbers as pairs. */
export interface NpyArray {
  shape: readonly number[];
  dtype: StorageDtype;
  data: NpyData;
}

export type NpyData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export interface NpyHeader {
  dtype: StorageDtype;
  shape: readonly number[];
  fortranOrder: boolean;
  bigEndian: boolean;
  dataOffset: number;
  byteLength: number;
}

const MAX_HEADER = 1 << 20;

/** Parse and check the header; reads nothing of the data. */
export function parseNpyHeader(source: ByteSource): NpyHeader {
  const { name } = source;
  const magic = source.read(0, Math.min(source.size, 12));
  if (magic.length < 10 || Buffer.from(magic.subarray(0, 6)).toString('latin1') !== '\u0093NUMPY') {
    throw new DataError(`${name}: expected a NumPy array, received ${describeContent(source) ?? 'something else'}.`);
  }
  const version = magic[6] ?? 0;
  if (version < 1 || version > 3) throw new DataError(`${name}: expected npy version 1, 2 or 3, received ${version}.`);
  const wide = version > 1;
  const fields = new DataView(magic.buffer);
  const length = wide && magic.length === 12 ? fields.getUint32(8, true) : fields.getUint16(8, true);
  if (length > MAX_HEADER)
    throw new DataError(`${name}: expected a header of at most ${MAX_HEADER} bytes, received ${length}.`);
  const start = wide ? 12 : 10;
  const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(source.read(start, length));
  return checkHeader(text, { name, dataOffset: start + length, size: source.size });
}

/** Read a whole array. DataError names the file for anything that does not fit together. */
export function readNpy(source: ByteSource): NpyArray {
  const { dtype, shape, fortranOrder, bigEndian, dataOffset, byteLength } = parseNpyHeader(source);
  const bytes = source.read(dataOffset, byteLength);
  if (bigEndian) swapBytes(bytes, dtype);
  const rowMajor = fortranOrder && shape.length > 1 ? fromFortran(bytes, { shape, width: elementBytes(dtype) }) : bytes;
  return { shape, dtype, data: typedArray(rowMajor, dtype) };
}

/** The file as header and data, version 1 (2 for very long headers), little-endian, row-major. */
export function npyPieces(array: { shape: readonly number[]; dtype: StorageDtype; data: NpyData }): Uint8Array[] {
  return [npyHeader(array), new Uint8Array(array.data.buffer, array.data.byteOffset, array.data.byteLength)];
}

/** The header alone, for data that is written piece by piece. */
export function npyHeader({ shape, dtype }: { shape: readonly number[]; dtype: StorageDtype }): Uint8Array {
  const code = STORAGE_DTYPES[dtype].numpy;
  if (code === undefined) throw new DataError(`npy: NumPy has no dtype ${dtype}. Convert to f32 first.`);
  const order = elementBytes(dtype) === 1 ? '|' : '<';
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const total = Math.ceil((10 + text.length + 1) / 64) * 64; // NumPy aligns the data to 64 bytes
  const header = Buffer.alloc(total, ' ');
  header.write('\u0093NUMPY\u0001\u0000', 0, 'latin1');
  header.writeUInt16LE(total - 10, 8);
  header.write(text, 10, 'latin1');
  header.write('\n', total - 1);
  return header;
}

function checkHeader(text: string, file: { name: string; dataOffset: number; size: number }): NpyHeader {
  const { name } = file;
  const header = parsePythonLiteral(text, name);
  const keys = header instanceof Map ? [...header.keys()].sort().join(', ') : 'no dict';
  if (!(header instanceof Map) || keys !== 'descr, fortran_order, shape') {
    throw new DataError(`${name}: expected a header of descr, fortran_order and shape, received ${keys}.`);
  }
  const descr = header.get('descr');
  const fortranOrder = header.get('fortran_order');
  const shape = header.get('shape');
  if (typeof descr !== 'string')
    throw new DataError(`${name}: expected a plain dtype, received a structured one. Save one array a field.`);
  if (/^[<>|=]?O/.test(descr))
    throw new DataError(
      `${name}: expected numbers, received an object array (a pickle, which can run code). It is not read.`,
    );
  const [, order = '', code = ''] = /^([<>|=]?)(.*)$/.exec(descr) ?? [];
  const dtype = dtypeFrom('numpy', code);
  if (dtype === undefined) throw new DataError(`${name}: expected a numeric dtype, received '${descr}'.`);
  if (typeof fortranOrder !== 'boolean') throw new DataError(`${name}: expected fortran_order True or False.`);
  if (!Array.isArray(shape) || !shape.every((size) => typeof size === 'number')) {
    throw new DataError(`${name}: expected a shape of integers in the header.`);
  }
  const sizes = shape as number[];
  const byteLength = (elementCount(sizes) ?? Number.NaN) * elementBytes(dtype);
  const available = file.size - file.dataOffset;
  if (byteLength !== available) {
    const needed = Number.isNaN(byteLength) ? 'non-negative sizes' : `${byteLength} bytes of data`;
    throw new DataError(`${name}: expected ${needed} for ${dtype} [${sizes.join(', ')}], received ${available} bytes.`);
  }
  return { dtype, shape: sizes, fortranOrder, bigEndian: order === '>', dataOffset: file.dataOffset, byteLength };
}

/** Column-major bytes to row-major ones. */
function fromFortran(
  bytes: Uint8Array,
  { shape, width }: { shape: readonly number[]; width: number },
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes.length);
  const strides = shape.map((_, d) => shape.slice(0, d).reduce((a, b) => a * b, width));
  const index = new Array<number>(shape.length).fill(0);
  for (let to = 0; to < out.length; to += width) {
    const from = index.reduce((sum, i, d) => sum + i * strides[d]!, 0);
    for (let k = 0; k < width; k++) out[to + k] = bytes[from + k]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]! += 1;
      if (index[d]! < shape[d]!) break;
      index[d] = 0;
    }
  }
  return out;
}

function typedArray(bytes: Uint8Array<ArrayBuffer>, dtype: StorageDtype): NpyData {
  const { buffer } = bytes;
  switch (dtype) {
    case 'i8':
      return new Int8Array(buffer);
    case 'u16':
    case 'f16':
      return new Uint16Array(buffer);
    case 'i16':
      return new Int16Array(buffer);
    case 'u32':
      return new Uint32Array(buffer);
    case 'i32':
      return new Int32Array(buffer);
    case 'u64':
      return new BigUint64Array(buffer);
    case 'i64':
      return new BigInt64Array(buffer);
    case 'f32':
    case 'c64':
      return new Float32Array(buffer);
    case 'f64':
    case 'c128':
      return new Float64Array(buffer);
    default:
      return bytes;
  }
}
