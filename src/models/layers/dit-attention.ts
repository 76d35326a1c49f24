// Self-attention of the stage-2 transformers: fused qkv, optional norm of q and k, rotary positions, SDPA (reference: LightningDiT; spec 8.1).
// q and k stay one tensor until SDPA, so that norm and rotation are one pass for both.

import { attention, LayerNorm, Linear, Module, RMSNorm } from '../../nn/index.ts';
import { addcmul, type Generator, layerNorm, stack, type Tensor } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import { type Norm, rmsNormalize } from './norm.ts';
import { rotate } from './rope.ts';

// Shapes: B batch, N tokens, D width, H heads, d = D / H.

export interface DitAttentionOptions {
  width: number;
  heads: number;
  /** Norm of q and k per head: 'rms' (eps 1e-6), 'layer' (with weight and bias, eps 1e-5). */
  qkNorm?: 'rms' | 'layer' | undefined;
  generator?: Generator | undefined;
}

export class DitAttention extends Module {
  readonly qkv: Linear;
  readonly q_norm: Norm | undefined;
  readonly k_norm: Norm | undefined;
  readonly proj: Linear;
  readonly heads: number;

  constructor({ width, heads, qkNorm, generator }: DitAttentionOptions) {
    super();
    if (width % heads !== 0) {
      throw new ArgumentError(expected('DitAttention', `a width divisible by its ${heads} heads`, width));
    }
    this.heads = heads;
    this.qkv = new Linear(width, 3 * width, { generator });
    this.q_norm = qkNorm && headNorm(width / heads, qkNorm);
    this.k_norm = qkNorm && headNorm(width / heads, qkNorm);
    this.proj = new Linear(width, width, { generator });
  }

  /** x [B, N, D], `rotation` as Rope2d.rotation() gives it -> [B, N, D]. */
  forward(x: Tensor, rotation?: Tensor): Tensor {
    const [B, N, D] = x.dims(3);
    const qkv = this.qkv.forward(x).view([B, N, 3, this.heads, D / this.heads]);
    let [qk, v] = qkv.splitWithSizes([2, 1], 2) as [Tensor, Tensor]; // [B, N, 2, H, d], [B, N, 1, H, d]
    if (this.q_norm && this.k_norm) qk = normPair(qk, this.q_norm, this.k_norm);
    if (rotation) qk = rotate(qk, rotation);
    const [q, k] = qk.permute([2, 0, 3, 1, 4]).unbind(0) as [Tensor, Tensor]; // each [B, H, N, d]
    const y = attention(q, k, v.squeeze(2).transpose(1, 2)); // [B, H, N, d]
    return this.proj.forward(y.transpose(1, 2).reshape([B, N, D]));
  }
}

function headNorm(width: number, kind: 'rms' | 'layer'): Norm {
  return kind === 'rms' ? new RMSNorm(width, { eps: 1e-6 }) : new LayerNorm(width, { eps: 1e-5 });
}

/** Norm over each head of q with one norm and of k with the other, as one pass. */
function normPair(qk: Tensor, q: Norm, k: Norm): Tensor {
  const weight = pair(q.weight, k.weight); // [2, 1, d]
  if (!(q instanceof LayerNorm && k instanceof LayerNorm)) return rmsNormalize(qk, q.eps).mul(weight);
  return addcmul(pair(q.bias, k.bias), layerNorm(qk, [q.width], undefined, undefined, q.eps), weight);
}

function pair(q: Tensor | undefined, k: Tensor | undefined): Tensor {
  return stack([q!, k!], 0).unsqueeze(1);
}
