// Adaptive weight of the adversarial loss (Esser et al. 2021; spec 5): lambda = |dL_rec/dW| / (|dL_gan/dW| + 1e-6), at most `maxWeight`,
// W the decoder's last layer, lambda a constant for the gradient.
// Differs from the reference in cost, not in value: both losses are differentiated down to the reconstruction once; the two gradients there
// give both norms through the last layer alone, and then, weighted by lambda, one backward pass through the decoder. The loss networks
// (LPIPS, discriminator) are walked once instead of twice.

import { backward, grad, type Tensor, tidy } from '../tensor/index.ts';

const EPS = 1e-6;

export interface AdaptiveWeightOptions {
  /** Upper limit of lambda. */
  maxWeight?: number;
}

export interface AdversarialBackwardOptions extends AdaptiveWeightOptions {
  /** The decoder's last weight (`decoder_pred.weight`). */
  layer: Tensor;
  /** Factor of the adversarial loss beside lambda. */
  ganWeight: number;
}

/** lambda from the gradients of the two losses at the last layer. */
export function adaptiveWeight(
  reconGradient: Tensor,
  ganGradient: Tensor,
  { maxWeight = 1e4 }: AdaptiveWeightOptions = {},
): number {
  return tidy(() => {
    const ratio = norm(reconGradient).div(norm(ganGradient).add(EPS));
    return Math.min(Math.max(ratio.item(), 0), maxWeight);
  });
}

/**
 * Adds the gradient of reconLoss + ganWeight * lambda * ganLoss to the `.grad` of everything below `recon`, and returns lambda.
 * Both losses depend on the decoder only through `recon`, a tensor of its graph. The graphs of all three are used up.
 */
export function adversarialBackward(
  { recon, reconLoss, ganLoss }: { recon: Tensor; reconLoss: Tensor; ganLoss: Tensor },
  { layer, ganWeight, maxWeight }: AdversarialBackwardOptions,
): number {
  return tidy(() => {
    const [reconGradient] = grad([reconLoss], [recon]) as [Tensor];
    const [ganGradient] = grad([ganLoss], [recon]) as [Tensor];
    const atLayer = (gradient: Tensor) =>
      grad([recon], [layer], { gradOutputs: [gradient], retainGraph: true })[0] as Tensor;
    const lambda = adaptiveWeight(
      atLayer(reconGradient),
      atLayer(ganGradient),
      maxWeight === undefined ? {} : { maxWeight },
    );
    backward(recon, { gradient: reconGradient.add(ganGradient, { alpha: ganWeight * lambda }) });
    return lambda;
  });
}

function norm(x: Tensor): Tensor {
  return x.to('f32').square().sum().sqrt();
}
