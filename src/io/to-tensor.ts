// From bytes of a file to tensors: the bytes become the tensor's memory without a copy; dtypes that the tensor library
// lacks are refused, or widened on request.

import { type Dtype, empty, fromBuffer, type Tensor, tensor } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import { decodeElements, type RawTensor, STORAGE_DTYPES, type StorageDtype } from './storage-dtype.ts';

/** The tensor dtype with the same elements, or undefined. */
export function tensorDtype(dtype: StorageDtype): Dtype | undefined {
  const { widen } = STORAGE_DTYPES[dtype];
  return widen === dtype ? widen : undefined;
}

/** A tensor over `raw.data`, which must not be changed afterwards. DataError for a dtype without a counterpart. */
export function toTensor(raw: RawTensor, { widen = false, where }: { widen?: boolean; where: string }): Tensor {
  const direct = tensorDtype(raw.dtype);
  if (direct === undefined) return widened(raw, { widen, where });
  if (raw.data.byteLength === 0) return empty(raw.shape, { dtype: direct });
  const { buffer, byteOffset, byteLength } = raw.data;
  const whole = byteOffset === 0 && byteLength === buffer.byteLength;
  return fromBuffer(whole ? buffer : raw.data.slice().buffer, { shape: raw.shape, dtype: direct });
}

function widened(raw: RawTensor, { widen, where }: { widen: boolean; where: string }): Tensor {
  const target = STORAGE_DTYPES[raw.dtype].widen;
  if (target === undefined || !widen) {
    const next = target
      ? `Pass { widen: true } to load it as ${target}.`
      : 'Convert it with the library that wrote the file.';
    throw new DataError(
      `${where}: expected a dtype among f32, f64, f16, bf16, i64, i32, u8, bool, received ${raw.dtype}. ${next}`,
    );
  }
  const values = decodeElements(raw) as number[];
  return tensor(values, { shape: raw.shape, dtype: target });
}
