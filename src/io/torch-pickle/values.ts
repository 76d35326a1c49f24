// What an unpickled file consists of: plain data and torch's few types, as inert values. Nothing here can be called.
// Python's None, bool, str map to JavaScript's; int and float to number (bigint beyond 2^53); list to Array; dict to Map.

import type { StorageDtype } from '../storage-dtype.ts';

export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyValue[]
  | PyTuple
  | PyDict
  | Set<PyValue>
  | TorchTensor
  | TorchStorage
  | TorchSize
  | TorchDtype
  | TorchDevice
  | Global;

export type PyDict = Map<PyValue, PyValue>;

export class PyTuple {
  readonly items: readonly PyValue[];

  constructor(items: readonly PyValue[]) {
    this.items = items;
  }
}

/** An allowed name that the file mentions: a class or function of ours to apply, never Python's. */
export class Global {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** torch.Size */
export class TorchSize {
  readonly sizes: readonly number[];

  constructor(sizes: readonly number[]) {
    this.sizes = sizes;
  }
}

/** torch.float32 and so on, by PyTorch's name. */
export class TorchDtype {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** torch.device, as text. */
export class TorchDevice {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** Where a storage's bytes lie in the file; `read` fetches and checks them (inflated, little-endian). */
export interface StorageBytes {
  read(): Uint8Array<ArrayBuffer>;
  /** Offset in the file when the bytes lie there as they are (not deflated, not swapped), so that they can be mapped. */
  mapOffset: number | undefined;
}

/** Flat memory that tensors view. `elements` counts by `dtype`; untyped storages count bytes (u8). */
export class TorchStorage {
  readonly key: string;
  readonly dtype: StorageDtype;
  readonly elements: number;
  /** Set once the container has found the bytes (the legacy one lists them after the object). */
  bytes: StorageBytes | undefined;

  constructor(key: string, { dtype, elements }: { dtype: StorageDtype; elements: number }) {
    this.key = key;
    this.dtype = dtype;
    this.elements = elements;
  }
}

/** A strided view of a storage, checked to lie inside it. Offset and strides count elements. */
export interface TensorView {
  storage: TorchStorage;
  dtype: StorageDtype;
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
  requiresGrad: boolean;
  parameter: boolean;
}

export class TorchTensor {
  readonly view: TensorView;

  constructor(view: TensorView) {
    this.view = view;
  }

  get shape(): readonly number[] {
    return this.view.shape;
  }

  get dtype(): StorageDtype {
    return this.view.dtype;
  }
}

/** A short text for messages and paths. Never descends: a value may be nested 20,000 deep or hold itself. */
export function brief(value: PyValue | undefined): string {
  if (typeof value === 'string') return value.slice(0, 200);
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  return typeof value === 'object' ? `a ${value.constructor.name}` : String(value);
}
