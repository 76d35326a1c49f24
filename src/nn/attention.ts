// softmax(q k^T / sqrt(d)) v through libtorch's scaled_dot_product_attention, and the head bookkeeping around it.
// B batch, N tokens, H heads, d head width.

import { autocast, scaledDotProductAttention, type Tensor } from '../tensor/index.ts';
import { ShapeError } from '../util/errors.ts';

export interface AttentionOptions {
  /** Added to the scores, or boolean with true = attend; broadcasts to [B, H, N, N]. */
  mask?: Tensor | undefined;
  isCausal?: boolean;
  /** Instead of 1 / sqrt(d). */
  scale?: number | undefined;
}

/** Attention over heads: q, k, v [B, H, N, d] -> [B, H, N, d], in the dtype of v under autocast. */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { mask, isCausal = false, scale }: AttentionOptions = {},
): Tensor {
  if (!mask && !isCausal && v.size(2) <= SHORT && v.dtype === 'bf16' && v.device === 'cpu' && v.requiresGrad) {
    return byProducts(q, k, v, scale ?? 1 / Math.sqrt(q.size(3)));
  }
  return scaledDotProductAttention(q, k, v, mask, 0, scale === undefined ? { isCausal } : { isCausal, scale });
}

const SHORT = 128; // tokens; at 256 both ways take the same time

/**
 * The same by matrix products, with scores and softmax in float32. libtorch's bf16 kernel for the CPU is slow backward on short
 * sequences: 43 ms where this takes 10 (64 pictures, 4 heads, 49 tokens, one thread).
 */
function byProducts(q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor {
  return autocast({ enabled: false }, () =>
    q.to('f32').mul(scale).matmul(k.to('f32').transpose(2, 3)).softmax(-1).to(v.dtype).matmul(v),
  );
}

/** [B, N, H*d] -> [B, H, N, d]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, N, D] = x.dims(3);
  if (D % heads !== 0) {
    throw new ShapeError(`splitHeads: expected a width divisible by ${heads} heads, received ${D}.`);
  }
  return x.view([B, N, heads, D / heads]).transpose(1, 2);
}

/** [B, H, N, d] -> [B, N, H*d]. */
export function mergeHeads(x: Tensor): Tensor {
  const [B, H, N, d] = x.dims(4);
  return x.transpose(1, 2).reshape([B, N, H * d]);
}
