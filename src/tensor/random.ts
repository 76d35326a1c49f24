// Random numbers: generators whose state can be read and restored, and the draws made from them. On the CPU the numbers
// equal PyTorch's after torch.manual_seed(seed) (mt19937; the order of draws is libtorch's own).
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import type { CreateOptions } from './create.ts';
import { dtypeCode } from './dtype.ts';
import { engine } from './engine.ts';
import { type Device, Tensor } from './tensor.ts';
import { generatorId, handleOf, operator } from './wrap.ts';

const net = new FinalizationRegistry<number>((id) => engine().generatorFree(id));

/** A source of random numbers with a state of its own (5 KB; freed when nothing refers to it, or by dispose()). */
export class Generator {
  /** Number in the engine's table; 0 is libtorch's default generator, -1 one that was disposed. */
  id: number;

  constructor(seed: number, { device = 'cpu' }: { device?: Device } = {}) {
    checkSeed(seed);
    this.id = engine().generatorNew(seed, device);
    net.register(this, this.id, this);
  }

  /** Starts anew from a seed. */
  seed(seed: number): void {
    checkSeed(seed);
    engine().generatorSeed(this.id, seed);
  }

  /** The whole state as bytes: setState() with them repeats every later draw. */
  getState(): Uint8Array {
    const state = new Tensor(engine().generatorGetState(this.id));
    const bytes = state.toBytes();
    state.dispose();
    return bytes;
  }

  /** Goes on from what getState() gave. ArgumentError for anything that is not a state of this kind of generator. */
  setState(bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw new ArgumentError(expected('Generator.setState', 'a Uint8Array', bytes));
    const state = new Tensor(engine().fromArray(bytes, dtypeCode('u8'), [bytes.length]));
    try {
      engine().generatorSetState(this.id, state.handle);
    } finally {
      state.dispose();
    }
  }

  /** Frees it now; many short-lived ones need not wait for the garbage collector. Using it afterwards is a DisposedError. */
  dispose(): void {
    if (this.id <= 0) return;
    net.unregister(this);
    engine().generatorFree(this.id);
    this.id = -1;
  }
}

let standard: Generator | undefined;

/** libtorch's default CPU generator, used where no generator is given. */
export function defaultGenerator(): Generator {
  if (standard === undefined) {
    standard = Object.create(Generator.prototype) as Generator;
    standard.id = 0;
  }
  return standard;
}

/** Seeds the default generators of every device. */
export function manualSeed(seed: number): void {
  checkSeed(seed);
  engine().manualSeed(seed);
}

export interface RandomOptions extends CreateOptions {
  generator?: Generator | undefined;
}

/** Standard normal numbers. */
export function randn(
  shape: readonly number[],
  { generator, dtype = 'f32', device = 'cpu' }: RandomOptions = {},
): Tensor {
  return draw('aten::randn.generator', [shape, generatorId(generator), dtypeCode(dtype), undefined, device]);
}

/** Uniform numbers in [0, 1). */
export function rand(
  shape: readonly number[],
  { generator, dtype = 'f32', device = 'cpu' }: RandomOptions = {},
): Tensor {
  return draw('aten::rand.generator', [shape, generatorId(generator), dtypeCode(dtype), undefined, device]);
}

/** Whole numbers in [low, high), i64. */
export function randint(
  low: number,
  high: number,
  shape: readonly number[],
  { generator, dtype = 'i64', device = 'cpu' }: RandomOptions = {},
): Tensor {
  return draw('aten::randint.low_generator', [
    low,
    high,
    shape,
    generatorId(generator),
    dtypeCode(dtype),
    undefined,
    device,
  ]);
}

/** A random permutation of 0, ..., n-1, i64. */
export function randperm(n: number, { generator, dtype = 'i64', device = 'cpu' }: RandomOptions = {}): Tensor {
  return draw('aten::randperm.generator', [n, generatorId(generator), dtypeCode(dtype), undefined, device]);
}

/** 0 or 1 with the probabilities of `p`, in its dtype. */
export function bernoulli(p: Tensor, { generator }: { generator?: Generator | undefined } = {}): Tensor {
  return draw('aten::bernoulli', [handleOf(p), generatorId(generator)]);
}

/** `count` indices a row, drawn with the weights of `p` [N] or [B, N]; i64. */
export function multinomial(
  p: Tensor,
  count: number,
  { replacement = false, generator }: { replacement?: boolean; generator?: Generator | undefined } = {},
): Tensor {
  return draw('aten::multinomial', [handleOf(p), count, replacement, generatorId(generator)]);
}

function draw(name: string, args: unknown[]): Tensor {
  return new Tensor(engine().call(operator(name), ...args) as number);
}

function checkSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new ArgumentError(expected('seed', 'a whole number from 0 to 2^53 - 1', seed));
}
