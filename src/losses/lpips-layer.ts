// One layer of LPIPS without autograd, for few passes over large activations: with s = a / (|a| + eps) at each position, u the other
// picture's s, w the channel weights and P positions, the distance is d = sum w (s - u)^2 / P. With t = (2/P) w (s - u),
// dd/da = t / (|a| + eps) - a (t.a) / (|a| (|a| + eps)^2).

import { addcmul, linalgVectorNorm, type Tensor, tidy } from '../tensor/index.ts';

const EPS = 1e-10; // added to the length, not under the root

export interface LayerDistance {
  distance: Tensor; // [B]
  /** With respect to the features, in their dtype. */
  gradient: Tensor | undefined; // [B, C, h, w]
}

/** -features / (|features| + eps), lengths over the channels; overwrites features [B, C, h, w] where they are float32. */
export function negativeUnit(features: Tensor): Tensor {
  return tidy(() => {
    const x = features.to('f32');
    return x.mul_(lengths(x).add(EPS).reciprocal().neg());
  });
}

/** Distance of features a [B, C, h, w] to the other picture's `negativeUnit`, under weights [1, C, 1, 1]. */
export function layerDistance(
  features: Tensor,
  other: Tensor,
  weights: Tensor,
  { gradient = false }: { gradient?: boolean } = {},
): LayerDistance {
  return tidy(() => {
    const a = features.to('f32'); // lengths in float32 under autocast, too
    const [, , h, w] = a.dims(4);
    const length = lengths(a); // [B, 1, h, w]
    const inverse = length.add(EPS).reciprocal();
    const difference = addcmul(other, a, inverse); // s - u
    const weighted = difference.mul(weights);
    const distance = difference
      .mul_(weighted)
      .sum([1, 2, 3])
      .div(h * w);
    if (!gradient) return { distance, gradient: undefined };
    const along = weighted.mul(a).sum(1, { keepdim: true }).mul(inverse.square()).div(length.clamp(1e-12));
    const scale = 2 / (h * w);
    const g = weighted.mul_(inverse.mul(scale)).addcmul_(a, along.mul(scale), { value: -1 });
    return { distance, gradient: g.to(features.dtype) };
  });
}

function lengths(x: Tensor): Tensor {
  return linalgVectorNorm(x, 2, [1], { keepdim: true });
}
