// From unpickled tensors to bytes and to tensors. Tensors that share a storage in the file share memory here too, so an
// expanded or repeated view costs nothing; strides and offsets are kept.

import { call, mapTensors, type Tensor } from '../../tensor/index.ts';
import { DataError } from '../../util/errors.ts';
import { elementBytes, elementCount, type RawTensor } from '../storage-dtype.ts';
import { tensorDtype, toTensor } from '../to-tensor.ts';
import { brief, type PyValue, type TensorView, type TorchStorage, TorchTensor } from './values.ts';

const FREE_EXPANSION = 64 << 20; // bytes that a view may grow to when written out, whatever its storage

export interface TorchLoadOptions {
  /** Map storages from the file where they lie there plainly; their check sums are not verified. */
  mmap?: boolean;
  /** Load i8, i16, u16, u32, f8 as the next larger dtype instead of refusing them. */
  widen?: boolean;
}

/** Row-major bytes of a tensor. DataError for an expanded view that would grow far beyond its storage. */
export function materialise({ view }: TorchTensor, name: string): RawTensor {
  const { storage, dtype, shape, strides, offset } = view;
  const width = elementBytes(dtype);
  const count = elementCount(shape) ?? Number.NaN;
  const source = storageBytes(storage, name);
  if (count * width > Math.max(FREE_EXPANSION, 4 * source.length)) {
    throw new DataError(
      `${name}: expected a tensor near the size of its storage (${source.length} bytes), received a view of ${count * width} bytes.`,
    );
  }
  const data = new Uint8Array(count * width);
  if (isContiguous(shape, strides)) data.set(source.subarray(offset * width, (offset + count) * width));
  else copyStrided(data, source, { shape, strides, offset, width });
  return { dtype, shape, data };
}

/**
 * Tensors of many entries at once; each storage is read, or all of them mapped, a single time. `fd`: the file where it is open still.
 * Owned by the current scope.
 */
export function toTensors(
  entries: Iterable<readonly [string, TorchTensor]>,
  { name, fd, mmap = false, widen = false }: TorchLoadOptions & { name: string; fd?: number | undefined },
): Map<string, Tensor> {
  const all = [...entries];
  const shapes = storageShapes(all.flatMap(([, { view }]) => (isPlain(view) ? [view] : [])));
  const memory = mmap ? mapStorages(shapes, { name, fd }) : new Map<TorchStorage, Tensor>();
  const given = new Set<Tensor>();
  try {
    for (const [storage, shape] of shapes)
      if (!memory.has(storage)) memory.set(storage, readStorage(storage, { shape, name }));
    const tensorOf = (key: string, tensor: TorchTensor) => {
      const { storage, shape, strides, offset } = tensor.view;
      const found = isPlain(tensor.view) ? memory.get(storage) : undefined;
      if (found === undefined) return toTensor(materialise(tensor, name), { widen, where: `${name}: '${key}'` });
      if (shapes.get(storage) !== shape) return call('aten::as_strided', [found, shape, strides, offset]);
      given.add(found);
      return found;
    };
    return new Map(all.map(([key, tensor]) => [key, tensorOf(key, tensor)]));
  } finally {
    for (const tensor of memory.values()) if (!given.has(tensor)) tensor.dispose(); // the views keep it alive
  }
}

/** Whether its elements are those of its storage, of a dtype that tensors have. */
function isPlain({ storage, dtype }: TensorView): boolean {
  return dtype === storage.dtype && tensorDtype(dtype) !== undefined && storage.elements > 0;
}

/** The shape in which each storage is brought: that of its view where there is one alone that is all of it, else flat. */
function storageShapes(views: readonly TensorView[]): Map<TorchStorage, readonly number[]> {
  const shapes = new Map<TorchStorage, readonly number[]>();
  for (const { storage, shape, strides, offset } of views) {
    const whole = !shapes.has(storage) && offset === 0 && elementCount(shape) === storage.elements;
    shapes.set(storage, whole && isContiguous(shape, strides) ? shape : [storage.elements]);
  }
  return shapes;
}

/** The storages that lie in the file as they are, all in one mapping. */
function mapStorages(
  shapes: ReadonlyMap<TorchStorage, readonly number[]>,
  { name, fd }: { name: string; fd: number | undefined },
): Map<TorchStorage, Tensor> {
  const places = [...shapes].flatMap(([storage, shape]) => {
    const offset = storage.bytes?.mapOffset;
    return offset === undefined ? [] : [{ storage, offset, shape, dtype: tensorDtype(storage.dtype)! }];
  });
  const tensors = mapTensors(name, places, fd === undefined ? {} : { fd });
  return new Map(places.map(({ storage }, i) => [storage, tensors[i]!]));
}

function readStorage(storage: TorchStorage, { shape, name }: { shape: readonly number[]; name: string }): Tensor {
  return toTensor({ dtype: storage.dtype, shape, data: storageBytes(storage, name) }, { where: name });
}

function storageBytes(storage: TorchStorage, name: string): Uint8Array<ArrayBuffer> {
  if (storage.bytes === undefined) throw new DataError(`${name}: storage '${storage.key}' has no bytes in the file.`);
  return storage.bytes.read();
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d]!;
  }
  return true;
}

function copyStrided(
  to: Uint8Array,
  from: Uint8Array,
  {
    shape,
    strides,
    offset,
    width,
  }: { shape: readonly number[]; strides: readonly number[]; offset: number; width: number },
): void {
  const index = new Array<number>(shape.length).fill(0);
  for (let at = 0; at < to.length; at += width) {
    const element = index.reduce((sum, i, d) => sum + i * strides[d]!, offset) * width;
    for (let k = 0; k < width; k++) to[at + k] = from[element + k]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]! += 1;
      if (index[d]! < shape[d]!) break;
      index[d] = 0;
    }
  }
}

const MAX_VALUES = 1_000_000;

/**
 * Every tensor in nested dicts, lists and tuples, under its path joined by `separator`. Shared containers appear once a
 * path; DataError when that would exceed a million values (files built to explode).
 */
export function collectTensors(
  root: PyValue,
  { name, separator = '/' }: { name: string; separator?: string },
): Map<string, TorchTensor> {
  const found = new Map<string, TorchTensor>();
  const waiting: [string, PyValue][] = [['', root]];
  for (let visited = 0; waiting.length > 0; visited++) {
    if (visited > MAX_VALUES) throw new DataError(`${name}: expected at most ${MAX_VALUES} values, received more.`);
    const [path, value] = waiting.pop()!;
    if (value instanceof TorchTensor) found.set(path, value);
    const below = children(value);
    for (let i = below.length - 1; i >= 0; i--) {
      const [key, inner] = below[i]!; // first child on top: the order of the file
      waiting.push([path === '' ? key : `${path}${separator}${key}`, inner]);
    }
  }
  return found;
}

function children(value: PyValue): [string, PyValue][] {
  if (value instanceof Map)
    return Array.from(value, ([key, inner]) => [typeof key === 'string' ? key : brief(key), inner]);
  if (Array.isArray(value)) return value.map((inner, i) => [String(i), inner]);
  return value !== null && typeof value === 'object' && 'items' in value
    ? value.items.map((inner, i) => [String(i), inner])
    : [];
}
