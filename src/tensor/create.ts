// Making tensors: from numbers and typed arrays, filled, ranges, and from memory-mapped files.
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { type Dtype, dtypeCode, dtypeOfArray, isFloating, type TypedArray } from './dtype.ts';
import { engine } from './engine.ts';
import { pin } from './pin.ts';
import { type Device, Tensor } from './tensor.ts';
import { handleOf, operator } from './wrap.ts';

export interface CreateOptions {
  dtype?: Dtype | undefined;
  device?: Device | undefined;
}

const DEEPEST = 64; // dimensions that libtorch's kernels take

/** Numbers nested to any depth. */
export type Nested = number | readonly Nested[];

/**
 * A tensor that holds a copy of `data`. Numbers give f32 unless `dtype` says otherwise; a typed array gives its own dtype
 * and is flat unless `shape` is given (a Uint16Array needs dtype f16 or bf16: raw bits).
 */
export function tensor(
  data: Nested | TypedArray,
  { shape, dtype, device }: CreateOptions & { shape?: readonly number[] | undefined } = {},
): Tensor {
  if (typeof data === 'object' && ArrayBuffer.isView(data)) {
    const own = data instanceof Uint16Array ? (dtype ?? dtypeOfArray(data)) : dtypeOfArray(data);
    const made = new Tensor(engine().fromArray(data, dtypeCode(own), shape ?? [data.length]));
    return converted(made, dtype, device);
  }
  const found: number[] = [];
  const sizes = shape ?? nestedShape(data as Nested);
  flatten(data as Nested, found);
  const count = shape?.reduce((a, b) => a * b, 1) ?? found.length;
  if (count !== found.length) {
    throw new ShapeError(expected('tensor', `${count} numbers for shape [${sizes.join(', ')}]`, found.length));
  }
  const want = dtype ?? 'f32';
  const array = isFloating(want) ? Float64Array.from(found) : wholeNumbers(found, want);
  const own: Dtype = array instanceof Float64Array ? 'f64' : want;
  return converted(new Tensor(engine().fromArray(array, dtypeCode(own), sizes)), want, device);
}

/**
 * Shares the memory of a typed array (no copy): writing to one is seen in the other. The array is kept alive, and cannot be
 * transferred to another thread from then on. ArgumentError for a resizable buffer: its memory could go away.
 */
export function fromBuffer(
  data: TypedArray | ArrayBuffer,
  { shape, dtype }: { shape: readonly number[]; dtype: Dtype },
): Tensor {
  pin('fromBuffer', data);
  return new Tensor(engine().fromBuffer(data, dtypeCode(dtype), shape));
}

/** Where a tensor lies in a file: plain little-endian elements, row-major. */
export interface FilePlace {
  /** In bytes; default 0. */
  offset?: number;
  shape: readonly number[];
  dtype: Dtype;
}

/**
 * A tensor whose memory is the file's pages, private to this process (writing to it does not reach the file). Nothing is
 * read before it is used. Throws DataError when the file is missing or too short. `fd`: the file where it is open already.
 *
 * A file that is replaced by renaming, or deleted, stays whole in the tensor. One that is cut while the tensor lives makes every
 * operation that touches the missing part throw DataError; the process lives on. One that is overwritten in place changes what was
 * not read before, and of a page that was cut in its middle the rest reads as zeros: load without mapping where that can happen
 * (training does).
 */
export function mapFile(path: string, { fd, ...place }: FilePlace & { fd?: number }): Tensor {
  return mapTensors(path, [place], fd === undefined ? {} : { fd })[0]!;
}

/** As mapFile(), for many tensors: the file is mapped once, and stays mapped until the last of them is freed. */
export function mapTensors(path: string, places: readonly FilePlace[], { fd }: { fd?: number } = {}): Tensor[] {
  const said = places.map(({ offset = 0, dtype, shape }) => [offset, dtypeCode(dtype), shape] as const);
  return engine()
    .mapFile(path, fd, said)
    .map((handle) => new Tensor(handle));
}

const filled = (name: string) => {
  let id = 0;
  return (shape: readonly number[], { dtype = 'f32', device = 'cpu' }: CreateOptions = {}): Tensor => {
    id ||= operator(name);
    return new Tensor(engine().call(id, shape, dtypeCode(dtype), undefined, device) as number);
  };
};

export const zeros: (shape: readonly number[], options?: CreateOptions) => Tensor = filled('aten::zeros');
export const ones: (shape: readonly number[], options?: CreateOptions) => Tensor = filled('aten::ones');
/** Memory as it comes: fill it before reading. */
export const empty: (shape: readonly number[], options?: CreateOptions) => Tensor = filled('aten::empty.memory_format');

export function full(
  shape: readonly number[],
  value: number,
  { dtype = 'f32', device = 'cpu' }: CreateOptions = {},
): Tensor {
  return new Tensor(engine().call(operator('aten::full'), shape, value, dtypeCode(dtype), undefined, device) as number);
}

/** 0, 1, ..., end-1; or start, start+step, ... below end. i64 unless a number is fractional or dtype says otherwise. */
export function arange(
  startOrEnd: number,
  end?: number,
  step = 1,
  { dtype, device = 'cpu' }: CreateOptions = {},
): Tensor {
  const [from, to] = end === undefined ? [0, startOrEnd] : [startOrEnd, end];
  const whole = Number.isInteger(from) && Number.isInteger(to) && Number.isInteger(step);
  const code = dtypeCode(dtype ?? (whole ? 'i64' : 'f32'));
  return new Tensor(
    engine().call(operator('aten::arange.start_step'), from, to, step, code, undefined, device) as number,
  );
}

/** `steps` numbers from start to end, both included. */
export function linspace(
  start: number,
  end: number,
  steps: number,
  { dtype = 'f32', device = 'cpu' }: CreateOptions = {},
): Tensor {
  return new Tensor(
    engine().call(operator('aten::linspace'), start, end, steps, dtypeCode(dtype), undefined, device) as number,
  );
}

export function eye(n: number, { dtype = 'f32', device = 'cpu' }: CreateOptions = {}): Tensor {
  return new Tensor(engine().call(operator('aten::eye'), n, dtypeCode(dtype), undefined, device) as number);
}

export function zerosLike(x: Tensor): Tensor {
  return new Tensor(engine().call(operator('aten::zeros_like'), handleOf(x)) as number);
}

export function onesLike(x: Tensor): Tensor {
  return new Tensor(engine().call(operator('aten::ones_like'), handleOf(x)) as number);
}

export function emptyLike(x: Tensor): Tensor {
  return new Tensor(engine().call(operator('aten::empty_like'), handleOf(x)) as number);
}

function converted(made: Tensor, dtype: Dtype | undefined, device: Device | undefined): Tensor {
  if ((dtype === undefined || dtype === made.dtype) && (device === undefined || device === 'cpu')) return made;
  try {
    return made.to({ dtype: dtype ?? made.dtype, device });
  } finally {
    made.dispose();
  }
}

const WHOLE = {
  i64: { low: -(2 ** 63), high: 2 ** 63 - 1024, from: (list: number[]) => BigInt64Array.from(list, BigInt) },
  i32: { low: -(2 ** 31), high: 2 ** 31 - 1, from: (list: number[]) => Int32Array.from(list) },
  u8: { low: 0, high: 255, from: (list: number[]) => Uint8Array.from(list) },
  bool: { low: 0, high: 1, from: (list: number[]) => Uint8Array.from(list) },
};

/** The numbers as an integer dtype holds them; ArgumentError for one that it cannot. */
function wholeNumbers(numbers: number[], dtype: Dtype): BigInt64Array | Int32Array | Uint8Array {
  dtypeCode(dtype);
  const { low, high, from } = WHOLE[dtype as keyof typeof WHOLE];
  for (const n of numbers) {
    if (!Number.isInteger(n) || n < low || n > high)
      throw new ArgumentError(expected('tensor', `whole numbers from ${low} to ${high} for dtype ${dtype}`, n));
  }
  return from(numbers);
}

function nestedShape(data: Nested): number[] {
  const shape: number[] = [];
  for (let level: Nested | undefined = data; typeof level === 'object' && level !== null; level = level[0]) {
    shape.push(level.length);
    if (shape.length > DEEPEST) throw new ShapeError(expected('tensor', `at most ${DEEPEST} dimensions`, 'more'));
    if (level.length === 0) break;
  }
  checkNesting(data, shape, 0);
  return shape;
}

function checkNesting(data: Nested, shape: number[], depth: number): void {
  const want = shape[depth];
  if (typeof data !== 'number' && !Array.isArray(data)) notNumbers(data);
  if (typeof data === 'number' ? want !== undefined : data.length !== want) {
    throw new ShapeError(
      `tensor: expected every row at depth ${depth} to have ${want ?? 'no'} items, received ${typeof data === 'number' ? 'a number' : data.length}.`,
    );
  }
  if (typeof data !== 'number') for (const row of data) checkNesting(row, shape, depth + 1);
}

function flatten(data: Nested, out: number[]): void {
  if (typeof data === 'number') out.push(data);
  else if (Array.isArray(data)) for (const row of data) flatten(row, out);
  else notNumbers(data);
}

function notNumbers(received: unknown): never {
  throw new ArgumentError(expected('tensor', 'a number, nested arrays of numbers or a typed array', received));
}
