// class Tensor: a handle into the engine's slot table, with what it is (shape, dtype, device) read on first use.
// Operators are inherited from the generated TensorOps; memory belongs to scopes (scope.ts).
import { expected } from '../util/check.ts';
import { ArgumentError, NativeError, ShapeError } from '../util/errors.ts';
import { format } from './display.ts';
import { type Dtype, dtypeBytes, dtypeCode, dtypeName, isFloating } from './dtype.ts';
import { engine } from './engine.ts';
import { TensorOps } from './ops_generated.ts';
import { adopt, forget } from './scope.ts';
import { handleOf, operator, optionalHandle, setTensorFactory } from './wrap.ts';

export type Device = 'cpu' | `cuda:${number}`;

/** A tuple of n numbers. */
type Tuple<N extends number, T extends number[] = []> = number extends N
  ? number[]
  : T['length'] extends N
    ? T
    : Tuple<N, [...T, number]>;

const ARRAYS = {
  f32: Float32Array,
  f64: Float64Array,
  i64: BigInt64Array,
  i32: Int32Array,
  u8: Uint8Array,
  bool: Uint8Array,
};

let toCopy = 0;
let contiguousId = 0;

/** An n-dimensional array on a device. Make one with tensor(), zeros(), randn(), ... */
export class Tensor extends TensorOps {
  /** Slot and generation in the engine; 0 once disposed. */
  handle: number;
  /** Taken out of every scope by keep(). For scope.ts alone, as are the next two. */
  kept = false;
  returned = false;
  escaped = false;
  #shape: readonly number[] | undefined;
  #dtype: Dtype | undefined;

  /** Takes ownership of a handle. For the library's own use. */
  constructor(handle: number) {
    super();
    this.handle = handle;
    adopt(this);
  }

  get shape(): readonly number[] {
    this.#shape ??= engine().shapeOf(this.handle);
    return this.#shape;
  }

  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  get dtype(): Dtype {
    this.#dtype ??= dtypeName(engine().dtypeOf(this.handle));
    return this.#dtype;
  }

  get device(): Device {
    return engine().deviceOf(this.handle) as Device;
  }

  /** Size of one dimension; negative counts from the end. */
  size(dim: number): number {
    const n = Number.isInteger(dim) ? this.shape.at(dim) : undefined;
    if (n === undefined)
      throw new ShapeError(expected('size', `a dimension of a tensor of shape [${this.shape}]`, dim));
    return n;
  }

  /** The shape as exactly `rank` numbers: `const [B, N, C] = x.dims(3)`. Throws ShapeError for another rank. */
  dims<N extends number>(rank: N): Tuple<N> {
    if (this.shape.length !== rank) {
      throw new ShapeError(`dims: expected a tensor of ${rank} dimensions, received one of shape [${this.shape}].`);
    }
    return this.shape as unknown as Tuple<N>;
  }

  get requiresGrad(): boolean {
    return engine().requiresGrad(this.handle);
  }

  setRequiresGrad(on = true): this {
    engine().setRequiresGrad(this.handle, on);
    return this;
  }

  get isLeaf(): boolean {
    return engine().isLeaf(this.handle);
  }

  /** The accumulated gradient, undefined before backward(). A new handle to it, owned by the current scope. */
  get grad(): Tensor | undefined {
    const handle = engine().gradOf(this.handle);
    return handle === 0 ? undefined : new Tensor(handle);
  }

  /** Replaces the gradient; it must be of this tensor's shape, dtype and device (ArgumentError). */
  setGrad(gradient: Tensor | undefined): void {
    engine().setGrad(this.handle, optionalHandle(gradient));
  }

  /** The one element as a number. Waits for the device. */
  item(): number {
    return engine().item(this.handle);
  }

  /** A copy of the elements, row-major, in the dtype's own typed array (bf16 and f16 as Float32Array). Waits for the device. */
  toArray(): Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array {
    const dtype = this.dtype;
    if (dtype === 'bf16' || dtype === 'f16') {
      const wide = this.to('f32');
      const out = wide.toArray();
      wide.dispose();
      return out;
    }
    return this.#read<ReturnType<Tensor['toArray']>>(ARRAYS[dtype], this.numel);
  }

  /** The raw bytes of the elements, row-major, whatever the dtype. Waits for the device. */
  toBytes(): Uint8Array {
    return this.#read(Uint8Array, this.numel * dtypeBytes(this.dtype));
  }

  #read<A extends ArrayBufferView>(Kind: new (length: number) => A, length: number): A {
    let out: A;
    try {
      out = new Kind(length);
    } catch (cause) {
      const most = 'a tensor that fits into one typed array';
      throw new NativeError(expected('toArray', most, [...this.shape], 'Take it in parts with narrow().'), { cause });
    }
    engine().read(this.handle, out);
    return out;
  }

  /** The elements as plain numbers, flat. Waits for the device. */
  toNumbers(): number[] {
    const array = this.toArray();
    return array instanceof BigInt64Array ? Array.from(array, Number) : Array.from(array);
  }

  /** Another dtype or device; itself (a new handle to the same memory) when nothing changes. */
  to(target: Dtype | { dtype?: Dtype | undefined; device?: Device | undefined }): Tensor {
    if (target === null || (typeof target !== 'object' && typeof target !== 'string'))
      throw new ArgumentError(expected('to', 'a dtype or { dtype, device }', target));
    const { dtype, device } = typeof target === 'string' ? { dtype: target, device: undefined } : target;
    const code = dtype === undefined ? undefined : dtypeCode(dtype);
    if (device === undefined && code !== undefined) {
      toCopy ||= operator('aten::to.dtype');
      return new Tensor(engine().call(toCopy, this.handle, code) as number);
    }
    const id = operator('aten::to.device');
    return new Tensor(engine().call(id, this.handle, device ?? this.device, code ?? dtypeCode(this.dtype)) as number);
  }

  /** Row-major memory: a copy only when it is not so already. */
  contiguous(): Tensor {
    contiguousId ||= operator('aten::contiguous');
    return new Tensor(engine().call(contiguousId, this.handle) as number);
  }

  get isFloating(): boolean {
    return isFloating(this.dtype);
  }

  /** True when both tensors look at the same memory. */
  sharesMemory(other: Tensor): boolean {
    return engine().sharesMemory(this.handle, handleOf(other));
  }

  /** Frees the tensor. A second call does nothing; any other use is a DisposedError. */
  dispose(): void {
    if (this.handle === 0) return;
    forget(this);
    engine().free(this.handle);
    this.handle = 0;
  }

  get disposed(): boolean {
    return this.handle === 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  override toString(): string {
    return this.disposed ? 'Tensor(disposed)' : format(this);
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

setTensorFactory((handle) => new Tensor(handle));
