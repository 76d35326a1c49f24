// Stage-1 reconstruction loss (spec 5): mean |recon - image| over all elements in [0, 1], the reconstruction not clamped, plus LPIPS of both
// pictures in [-1, 1], and optionally the Gram loss of gram.ts. The adversarial part is in gan.ts.

import { l1Loss, type Tensor, tidy } from '../tensor/index.ts';
import { gramLoss } from './gram.ts';
import type { Lpips } from './lpips.ts';

export interface ReconstructionLossOptions {
  /** Without it the loss is L1 alone. */
  lpips?: Lpips | undefined;
  perceptualWeight?: number;
  l1Weight?: number;
  /** Above 0 needs the network of LPIPS. */
  gramWeight?: number;
}

export interface ReconstructionLoss {
  /** l1Weight * l1 + perceptualWeight * lpips + gramWeight * gram, a scalar with gradient. */
  total: Tensor;
  l1: Tensor;
  /** The batch mean, before its weight, as l1 is. */
  lpips: Tensor | undefined;
  gram: Tensor | undefined;
}

/** L1 and perceptual loss of a reconstruction [B, 3, H, W] of an image, both in [0, 1]. */
export function reconstructionLoss(
  recon: Tensor,
  image: Tensor,
  { lpips, perceptualWeight = 1, l1Weight = 1, gramWeight = 0 }: ReconstructionLossOptions = {},
): ReconstructionLoss {
  return tidy(() => {
    const l1 = l1Loss(recon, image);
    const weighted = l1Weight === 1 ? l1 : l1.mul(l1Weight);
    if (!lpips) return { total: weighted, l1, lpips: undefined, gram: undefined };
    const pair = [toSigned(image), toSigned(recon)] as const;
    const distance = perceptualWeight > 0 ? lpips.forward(...pair).mean() : undefined;
    const gram = gramWeight > 0 ? gramLoss(lpips, ...pair) : undefined;
    let total = weighted;
    if (distance) total = total.add(distance.mul(perceptualWeight));
    if (gram) total = total.add(gram.mul(gramWeight));
    return { total, l1, lpips: distance, gram };
  });
}

/** Pictures in [0, 1] to [-1, 1]. */
export function toSigned(images: Tensor): Tensor {
  return images.mul(2).sub(1);
}
