// Stage-1 reconstruction loss (spec 5): mean |recon - image| over all elements in [0, 1], the reconstruction not clamped, plus LPIPS of both
// pictures in [-1, 1]. The adversarial part is in gan.ts.

import { l1Loss, type Tensor, tidy } from '../tensor/index.ts';
import type { Lpips } from './lpips.ts';

export interface ReconstructionLossOptions {
  /** Without it the loss is L1 alone. */
  lpips?: Lpips | undefined;
  perceptualWeight?: number;
  l1Weight?: number;
}

export interface ReconstructionLoss {
  /** l1Weight * l1 + perceptualWeight * lpips, a scalar with gradient. */
  total: Tensor;
  l1: Tensor;
  /** The batch mean, before its weight, as l1 is. */
  lpips: Tensor | undefined;
}

/** L1 and perceptual loss of a reconstruction [B, 3, H, W] of an image, both in [0, 1]. */
export function reconstructionLoss(
  recon: Tensor,
  image: Tensor,
  { lpips, perceptualWeight = 1, l1Weight = 1 }: ReconstructionLossOptions = {},
): ReconstructionLoss {
  return tidy(() => {
    const l1 = l1Loss(recon, image);
    const weighted = l1Weight === 1 ? l1 : l1.mul(l1Weight);
    if (!lpips || perceptualWeight === 0) return { total: weighted, l1, lpips: undefined };
    const distance = lpips.forward(toSigned(image), toSigned(recon)).mean();
    return { total: weighted.add(distance.mul(perceptualWeight)), l1, lpips: distance };
  });
}

/** Pictures in [0, 1] to [-1, 1]. */
export function toSigned(images: Tensor): Tensor {
  return images.mul(2).sub(1);
}
