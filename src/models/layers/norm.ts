// Norms of the stage-2 transformers, with the modulation folded in (spec 8.1).
// Differs from the reference in grouping only: weight, (1 + scale) and shift join in few passes over the tokens, in float32.

import { LayerNorm, RMSNorm } from '../../nn/index.ts';
import { addcmul, type Tensor } from '../../tensor/index.ts';

// Shapes: B batch, N tokens, M 1 or N (modulation rows), D width.

export type Norm = RMSNorm | LayerNorm;

/** The norm of blocks and final layers: RMSNorm with a weight, or LayerNorm without parameters; eps 1e-6. */
export function blockNorm(width: number, rms: boolean): Norm {
  return rms ? new RMSNorm(width, { eps: 1e-6 }) : new LayerNorm(width, { eps: 1e-6, affine: false });
}

/** norm(x) * (1 + scale) + shift: x [B, N, D], scale and shift [B, M, D]. */
export function modulate(norm: Norm, x: Tensor, scale: Tensor, shift: Tensor | undefined): Tensor {
  if (norm instanceof LayerNorm) {
    const y = norm.forward(x);
    return shift ? addcmul(shift, y, scale.add(1)) : y.mul(scale.add(1));
  }
  const gain = addcmul(norm.weight, norm.weight, scale); // weight * (1 + scale), small when M = 1
  const y = rmsNormalize(x, norm.eps);
  return shift ? addcmul(shift, y, gain) : y.mul(gain);
}

/** x / sqrt(mean(x^2) + eps) over the last dimension, in float32: two passes over x. */
export function rmsNormalize(x: Tensor, eps: number): Tensor {
  const exact = x.dtype === 'f64' ? x : x.to('f32');
  const length = exact.linalgVectorNorm(2, [-1], { keepdim: true }); // [..., 1]
  return exact.mul(length.square().div(x.size(-1)).add(eps).rsqrt());
}
