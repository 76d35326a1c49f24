// Initialisers as PyTorch 2.13 has them (torch/nn/init.py): the same generator calls in the same order, so the same bits.
// All change the tensor in place without recording gradients, and do nothing inside skipInit.

import { empty, type Generator, noGrad, type Tensor, tensor, tidy, where } from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

/** Randomness of a layer's initial weights; the default generator when left out. */
export interface InitOptions {
  generator?: Generator | undefined;
}

let skipping = false;

/**
 * Builds a module without spending time on initial values: its tensors are left as memory came, to be overwritten by a
 * strict loadStateDict. No random numbers are drawn.
 */
export function skipInit<T>(build: () => T): T {
  const before = skipping;
  skipping = true;
  try {
    return build();
  } finally {
    skipping = before;
  }
}

/** The layer's default: U(-1/sqrt(fanIn), 1/sqrt(fanIn)) for weight, then bias (Linear and Conv2d of PyTorch). */
export function defaultInit_(weight: Tensor, bias: Tensor | undefined, { generator }: InitOptions = {}): void {
  kaimingUniform_(weight, { a: Math.sqrt(5), generator });
  const { fanIn } = fans(weight, 'defaultInit_');
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  if (bias) uniform_(bias, { low: -bound, high: bound, generator });
}

/** He et al.: U(-b, b), b = sqrt(3) * sqrt(2 / (1 + a^2)) / sqrt(fanIn); `a` is the slope of a leaky ReLU that follows. */
export function kaimingUniform_(t: Tensor, { a = 0, generator }: InitOptions & { a?: number } = {}): Tensor {
  const { fanIn } = fans(t, 'kaimingUniform_');
  const std = Math.sqrt(2 / (1 + a ** 2)) / Math.sqrt(fanIn);
  const bound = Math.sqrt(3) * std;
  return uniform_(t, { low: -bound, high: bound, generator });
}

/**
 * Glorot and Bengio: U(-b, b), b = gain * sqrt(6 / (fanIn + fanOut)).
 * `flat` reads a kernel as the matrix [out, in * kh * kw], as MAE and DiT initialise their patch embedding.
 */
export function xavierUniform_(
  t: Tensor,
  { gain = 1, flat = false, generator }: InitOptions & { gain?: number; flat?: boolean } = {},
): Tensor {
  const { fanIn, fanOut } = fans(t, 'xavierUniform_');
  const std = gain * Math.sqrt(2 / (fanIn + (flat ? t.size(0) : fanOut)));
  const bound = Math.sqrt(3) * std;
  return uniform_(t, { low: -bound, high: bound, generator });
}

export function uniform_(
  t: Tensor,
  { low = 0, high = 1, generator }: InitOptions & { low?: number; high?: number } = {},
): Tensor {
  return inPlace(t, () => t.uniform_(low, high, drawnFrom(generator)));
}

export function normal_(
  t: Tensor,
  { mean = 0, std = 1, generator }: InitOptions & { mean?: number; std?: number } = {},
): Tensor {
  return inPlace(t, () => t.normal_(mean, std, drawnFrom(generator)));
}

/**
 * A normal distribution cut at the absolute bounds `a` and `b`: draws again where a value falls outside (PyTorch 2.13;
 * earlier ones invert the distribution function, with other numbers).
 * @throws ArgumentError when the bounds hold 30 % of the distribution or less: drawing again would not pay
 */
export function truncNormal_(
  t: Tensor,
  {
    mean = 0,
    std = 1,
    a = -2,
    b = 2,
    generator,
  }: InitOptions & { mean?: number; std?: number; a?: number; b?: number } = {},
): Tensor {
  const inside = tidy(() => normalCdf((b - mean) / std) - normalCdf((a - mean) / std));
  if (!(inside > 0.3)) {
    throw new ArgumentError(
      `truncNormal_: expected bounds that hold over 30 % of N(${mean}, ${std}), received [${a}, ${b}]. Widen the bounds or lower std.`,
    );
  }
  return inPlace(t, () => {
    const low = tensor(a, { dtype: t.dtype }).item(); // the bounds as the tensor's dtype can say them
    const high = tensor(b, { dtype: t.dtype }).item();
    let drawn = t.normal_(mean, std, drawnFrom(generator));
    for (;;) {
      const outside = drawn.lt(low).logicalOr(drawn.gt(high));
      if (outside.any().item() === 0) break;
      const again = empty(t.shape, { dtype: t.dtype, device: t.device }).normal_(mean, std, drawnFrom(generator));
      drawn = where(outside, again, drawn);
    }
    if (drawn !== t) t.copy_(drawn);
  });
}

export function zeros_(t: Tensor): Tensor {
  return inPlace(t, () => t.zero_());
}

export function ones_(t: Tensor): Tensor {
  return constant_(t, 1);
}

export function constant_(t: Tensor, value: number): Tensor {
  return inPlace(t, () => t.fill_(value));
}

function inPlace(t: Tensor, fill: () => unknown): Tensor {
  if (!skipping) {
    tidy(() => {
      noGrad(fill);
    });
  }
  return t;
}

/** Inputs and outputs that meet in one value of a weight [out, in, ...kernel]. */
function fans(t: Tensor, where: string): { fanIn: number; fanOut: number } {
  if (t.ndim < 2) {
    throw new ShapeError(`${where}: expected a weight of at least 2 dimensions, received [${t.shape.join(', ')}].`);
  }
  const kernel = t.shape.slice(2).reduce((product, n) => product * n, 1);
  return { fanIn: t.size(1) * kernel, fanOut: t.size(0) * kernel };
}

function drawnFrom(generator: Generator | undefined): { generator?: Generator } {
  return generator ? { generator } : {};
}

function normalCdf(x: number): number {
  return (
    (1 +
      tensor(x / Math.SQRT2, { dtype: 'f64' })
        .erf()
        .item()) /
    2
  );
}
