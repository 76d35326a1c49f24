// Small functions that several models share and that hold no parameters.

import { gelu, silu, type Tensor } from '../tensor/index.ts';
import { nearest, show } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

/** Non-linearities by the names that configurations of transformers use. */
export const activations = {
  gelu: (x: Tensor) => gelu(x), // exact, by erf
  gelu_new: (x: Tensor) => gelu(x, { approximate: 'tanh' }),
  gelu_pytorch_tanh: (x: Tensor) => gelu(x, { approximate: 'tanh' }),
  silu,
  relu: (x: Tensor) => x.relu(),
} as const;

export type ActivationName = keyof typeof activations;

/** The non-linearity of that name. */
export function activation(name: string): (x: Tensor) => Tensor {
  if (Object.hasOwn(activations, name)) return activations[name as ActivationName];
  const near = nearest(name, Object.keys(activations));
  throw new ArgumentError(
    `activation: expected one of ${Object.keys(activations).join(', ')}, received ${show(name)}.${near ? ` Did you mean '${near}'?` : ''}`,
  );
}

/** Adaptive modulation x * (1 + scale) + shift; shift and scale [B, D] act on all tokens of x [B, N, D], or [B, N, D] on each. */
export function modulate(x: Tensor, shift: Tensor | undefined, scale: Tensor): Tensor {
  const scaled = x.mul(perToken(scale, x).add(1));
  return shift ? scaled.add(perToken(shift, x)) : scaled;
}

function perToken(t: Tensor, x: Tensor): Tensor {
  return t.ndim === x.ndim ? t : t.unsqueeze(1);
}
