// Element types as files store them (a superset of the tensor library's), with their names in safetensors, PyTorch and NumPy,
// and what happens to those that have no tensor dtype: `widen` is the dtype that holds every value exactly.

import type { Dtype } from '../tensor/index.ts';

export type StorageDtype = keyof typeof STORAGE_DTYPES;

/** A tensor as a file holds it: little-endian, row-major, contiguous bytes. */
export interface RawTensor {
  dtype: StorageDtype;
  shape: readonly number[];
  data: Uint8Array<ArrayBuffer>;
}

/** A tensor as a writer needs it; its bytes are asked for when their turn comes. A Tensor is one. */
export interface TensorBytes {
  readonly dtype: StorageDtype;
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  toBytes(): Uint8Array;
}

interface StorageInfo {
  bytes: number;
  safetensors: string | undefined;
  torch: string;
  /** NumPy's type string without the byte order. */
  numpy: string | undefined;
  widen: Dtype | undefined;
}

// In the order of safetensors' own enum, by which its writer sorts.
export const STORAGE_DTYPES = {
  bool: { bytes: 1, safetensors: 'BOOL', torch: 'bool', numpy: 'b1', widen: 'bool' },
  u8: { bytes: 1, safetensors: 'U8', torch: 'uint8', numpy: 'u1', widen: 'u8' },
  i8: { bytes: 1, safetensors: 'I8', torch: 'int8', numpy: 'i1', widen: 'i32' },
  f8_e5m2: { bytes: 1, safetensors: 'F8_E5M2', torch: 'float8_e5m2', numpy: undefined, widen: 'f32' },
  f8_e4m3fn: { bytes: 1, safetensors: 'F8_E4M3', torch: 'float8_e4m3fn', numpy: undefined, widen: 'f32' },
  i16: { bytes: 2, safetensors: 'I16', torch: 'int16', numpy: 'i2', widen: 'i32' },
  u16: { bytes: 2, safetensors: 'U16', torch: 'uint16', numpy: 'u2', widen: 'i32' },
  f16: { bytes: 2, safetensors: 'F16', torch: 'float16', numpy: 'f2', widen: 'f16' },
  bf16: { bytes: 2, safetensors: 'BF16', torch: 'bfloat16', numpy: undefined, widen: 'bf16' },
  i32: { bytes: 4, safetensors: 'I32', torch: 'int32', numpy: 'i4', widen: 'i32' },
  u32: { bytes: 4, safetensors: 'U32', torch: 'uint32', numpy: 'u4', widen: 'i64' },
  f32: { bytes: 4, safetensors: 'F32', torch: 'float32', numpy: 'f4', widen: 'f32' },
  c64: { bytes: 8, safetensors: 'C64', torch: 'complex64', numpy: 'c8', widen: undefined },
  f64: { bytes: 8, safetensors: 'F64', torch: 'float64', numpy: 'f8', widen: 'f64' },
  i64: { bytes: 8, safetensors: 'I64', torch: 'int64', numpy: 'i8', widen: 'i64' },
  u64: { bytes: 8, safetensors: 'U64', torch: 'uint64', numpy: 'u8', widen: undefined },
  c128: { bytes: 16, safetensors: undefined, torch: 'complex128', numpy: 'c16', widen: undefined },
} as const satisfies Record<string, StorageInfo>;

/** Bytes of one element. */
export function elementBytes(dtype: StorageDtype): number {
  return STORAGE_DTYPES[dtype].bytes;
}

const byName = (scheme: 'safetensors' | 'torch' | 'numpy') =>
  new Map(Object.entries(STORAGE_DTYPES).map(([dtype, info]) => [info[scheme] as string, dtype as StorageDtype]));
const NAMES = { safetensors: byName('safetensors'), torch: byName('torch'), numpy: byName('numpy') };

/** The dtype with this name in one of the three naming schemes. */
export function dtypeFrom(scheme: keyof typeof NAMES, name: string): StorageDtype | undefined {
  return NAMES[scheme].get(name);
}

/** Elements of a shape; undefined when a size is no non-negative integer or the product leaves 2^53. */
export function elementCount(shape: readonly number[]): number | undefined {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return undefined;
  if (shape.includes(0)) return 0;
  const product = shape.reduce((a, b) => a * b, 1);
  return Number.isSafeInteger(product) ? product : undefined;
}

/** Reverse the bytes of every element in place (big-endian files); complex numbers are two elements. */
export function swapBytes(data: Uint8Array, dtype: StorageDtype): void {
  const width = dtype === 'c64' ? 4 : dtype === 'c128' ? 8 : elementBytes(dtype);
  if (width === 1) return;
  for (let at = 0; at + width <= data.length; at += width) data.subarray(at, at + width).reverse();
}

/** Element values as numbers (f16, bf16, f8 decoded), bigint for 64-bit integers. Complex numbers are pairs. */
export function decodeElements(raw: RawTensor): number[] | bigint[] {
  const view = new DataView(raw.data.buffer, raw.data.byteOffset, raw.data.byteLength);
  const bytes = elementBytes(raw.dtype);
  const count = raw.data.byteLength / bytes;
  const each = <T>(read: (at: number) => T): T[] => Array.from({ length: count }, (_, i) => read(i * bytes));
  switch (raw.dtype) {
    case 'bool':
    case 'u8':
      return Array.from(raw.data);
    case 'i8':
      return each((at) => view.getInt8(at));
    case 'i16':
      return each((at) => view.getInt16(at, true));
    case 'u16':
      return each((at) => view.getUint16(at, true));
    case 'i32':
      return each((at) => view.getInt32(at, true));
    case 'u32':
      return each((at) => view.getUint32(at, true));
    case 'i64':
      return each((at) => view.getBigInt64(at, true));
    case 'u64':
      return each((at) => view.getBigUint64(at, true));
    case 'f64':
      return each((at) => view.getFloat64(at, true));
    case 'f32':
      return each((at) => view.getFloat32(at, true));
    case 'f16':
      return each((at) => smallFloat(view.getUint16(at, true), 5, 10));
    case 'bf16':
      return each((at) => smallFloat(view.getUint16(at, true), 8, 7));
    case 'f8_e5m2':
      return each((at) => smallFloat(view.getUint8(at), 5, 2));
    case 'f8_e4m3fn':
      return each((at) => float8e4m3(view.getUint8(at)));
    case 'c64':
      return Array.from({ length: 2 * count }, (_, i) => view.getFloat32(4 * i, true));
    case 'c128':
      return Array.from({ length: 2 * count }, (_, i) => view.getFloat64(8 * i, true));
  }
}

/** IEEE-style float of 1 + exponent + mantissa bits. */
function smallFloat(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = (bits >>> (exponentBits + mantissaBits)) & 1 ? -1 : 1;
  const exponent = (bits >>> mantissaBits) & ((1 << exponentBits) - 1);
  const fraction = (bits & ((1 << mantissaBits) - 1)) / (1 << mantissaBits);
  const bias = (1 << (exponentBits - 1)) - 1;
  if (exponent === (1 << exponentBits) - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** float8_e4m3fn has no infinities: the top exponent is ordinary except for mantissa 7, which is NaN. */
function float8e4m3(bits: number): number {
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >>> 3) & 15;
  const fraction = (bits & 7) / 8;
  return exponent === 0 ? sign * fraction * 2 ** -6 : sign * (1 + fraction) * 2 ** (exponent - 7);
}
