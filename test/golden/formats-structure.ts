// Compares an unpickled value with the manifest's JSON image of it ({$tensor: ...}, {$tuple: [...]}, ...), and its tensors with
// the values stored beside it.

import { join } from 'node:path';
import { expect } from 'vitest';
import { decodeElements, type RawTensor, readSafetensorsRaw } from '../../src/io/index.ts';
import { STORAGE_DTYPES } from '../../src/io/storage-dtype.ts';
import {
  collectTensors,
  materialise,
  PyTuple,
  type PyValue,
  TorchDevice,
  TorchDtype,
  TorchSize,
  TorchTensor,
} from '../../src/io/torch-pickle/index.ts';
import type { Entry } from './harness.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Reads every tensor, so that damage in the data is found too. */
export function readAll(value: PyValue, path: string): void {
  for (const tensor of collectTensors(value, { name: path }).values()) materialise(tensor, path);
}

export function expectStructure(value: PyValue, entry: Entry, path: string): void {
  const { structure, values_file } = entry.expected as { structure: Json; values_file?: string };
  const values =
    values_file === undefined ? new Map<string, RawTensor>() : readSafetensorsRaw(join(entry.dir, values_file));
  const storages = new Map<unknown, number>();
  const image = picture(value, { path, values, storages });
  expect(image).toEqual(structure);
}

interface Context {
  path: string;
  values: ReadonlyMap<string, RawTensor>;
  /** Storage -> its number, in order of first appearance. */
  storages: Map<unknown, number>;
}

/** The JSON image of a value; on the way each tensor is compared with the values stored under its path. */
function picture(value: PyValue, context: Context, at = ''): Json {
  const inside = (key: string) => (at === '' ? key : `${at}/${key}`);
  const list = (items: readonly PyValue[]) => items.map((item, i) => picture(item, context, inside(String(i))));
  if (typeof value === 'bigint') return { $int: String(value) };
  if (typeof value === 'number' && !Number.isFinite(value))
    return { $float: String(value).replace('Infinity', 'inf').replace('NaN', 'nan') };
  if (Array.isArray(value)) return list(value);
  if (value instanceof PyTuple) return { $tuple: list(value.items) };
  if (value instanceof Set) return { $set: list([...value]) };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('hex') };
  if (value instanceof TorchSize) return { $size: [...value.sizes] };
  if (value instanceof TorchDtype) return { $dtype: `torch.${value.name}` };
  if (value instanceof TorchDevice) return { $device: value.name };
  if (value instanceof TorchTensor) return tensorPicture(value, context, at);
  if (value instanceof Map) {
    const entries = [...value].map(([key, inner]): [PyValue, Json] => [
      key,
      picture(inner, context, inside(String(key))),
    ]);
    const named = entries.every(([key]) => typeof key === 'string');
    return named
      ? Object.fromEntries(entries as [string, Json][])
      : { $dict: entries.map(([key, inner]) => [key as Json, inner]) };
  }
  return value as Json;
}

function tensorPicture(tensor: TorchTensor, { path, values, storages }: Context, at: string): Json {
  const { storage, dtype, offset, shape, strides, parameter, requiresGrad } = tensor.view;
  if (!storages.has(storage)) storages.set(storage, storages.size);
  const stored = values.get(at);
  expect(stored, `${path}: values of ${at}`).toBeDefined();
  const complex = dtype === 'c64' || dtype === 'c128';
  const got = materialise(tensor, path);
  expect(complex ? [...got.shape, 2] : got.shape, `${path}: ${at}`).toEqual(stored!.shape);
  expect(decodeElements(got), `${path}: ${at}`).toEqual(decodeElements(stored!));
  return {
    $tensor: at,
    dtype: STORAGE_DTYPES[dtype].torch,
    shape: [...shape],
    stride: [...strides],
    offset,
    storage: storages.get(storage)!,
    ...(parameter ? { parameter, requires_grad: requiresGrad } : {}),
  };
}
