// Data types: our names, libtorch's codes (c10::ScalarType), and the typed array that holds each.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

/** libtorch's code of every dtype that can be made here. */
const CODES = { u8: 0, i32: 3, i64: 4, f16: 5, f32: 6, f64: 7, bool: 11, bf16: 15 } as const;

export type Dtype = keyof typeof CODES;

const NAMES = new Map<number, Dtype>(Object.entries(CODES).map(([name, code]) => [code, name as Dtype]));
const BYTES: Record<Dtype, number> = { u8: 1, i32: 4, i64: 8, f16: 2, f32: 4, f64: 8, bool: 1, bf16: 2 };

/** Typed arrays that hold a dtype as it is; bf16 and f16 have none of their own and use Uint16Array for raw bits. */
export type TypedArray = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array;

export function dtypeCode(dtype: Dtype): number {
  if (!Object.hasOwn(CODES, dtype))
    throw new ArgumentError(expected('dtype', `one of ${Object.keys(CODES).join(', ')}`, dtype));
  return CODES[dtype];
}

export function dtypeName(code: number): Dtype {
  const name = NAMES.get(code);
  if (name === undefined) {
    throw new ArgumentError(
      `dtype: expected one of ${Object.keys(CODES).join(', ')}, received libtorch's type ${code}.`,
    );
  }
  return name;
}

/** Bytes of one element. */
export function dtypeBytes(dtype: Dtype): number {
  dtypeCode(dtype);
  return BYTES[dtype];
}

export function isFloating(dtype: Dtype): boolean {
  return dtype === 'f32' || dtype === 'f64' || dtype === 'bf16' || dtype === 'f16';
}

/** The dtype that a typed array holds when none is named. */
export function dtypeOfArray(array: TypedArray): Dtype {
  if (array instanceof Float32Array) return 'f32';
  if (array instanceof Float64Array) return 'f64';
  if (array instanceof BigInt64Array) return 'i64';
  if (array instanceof Int32Array) return 'i32';
  if (array instanceof Uint8Array) return 'u8';
  if (array instanceof Uint16Array)
    throw new ArgumentError(expected('tensor', 'dtype f16 or bf16 for a Uint16Array, which holds raw bits', undefined));
  throw new ArgumentError(
    expected('tensor', 'a Float32Array, Float64Array, BigInt64Array, Int32Array, Uint8Array or Uint16Array', array),
  );
}
