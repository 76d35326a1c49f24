// Adaptive weight of the adversarial loss (Esser et al. 2021; spec 5): lambda = |dL_rec/dW| / (|dL_gan/dW| + 1e-6), at most `maxWeight`,
// W the decoder's last layer, lambda a constant for the gradient.
// Differs from the reference in cost, not in value: both losses are differentiated down to the reconstruction once; the two gradients there
// give both norms through the last layer alone, and then, weighted by lambda, one backward pass through the decoder. The loss networks
// (LPIPS, discriminator) are walked once instead of twice. Over micro-batches the gradients at the last layer are summed first, so that
// lambda is that of the whole batch; the decoder's forward pass is then made anew for each of them instead of keeping every graph.

import { backward, grad, recomputing, type Tensor, tidy } from '../tensor/index.ts';

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
  /** Activation checkpointing of what `reconstruct` runs. */
  recompute?: boolean;
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

/** A batch in equal parts, each with the two losses' means over it. */
export interface AdversarialParts {
  /** Number of parts; 1 without gradient accumulation. */
  parts: number;
  /** The reconstruction of a part, a tensor of the decoder's graph. Called twice for each where there are several. */
  reconstruct(part: number): Tensor;
  /** Both losses depend on the decoder only through `recon`. */
  losses(recon: Tensor, part: number): { reconLoss: Tensor; ganLoss: Tensor };
}

/** Adds the gradient of mean(reconLoss) + ganWeight * lambda * mean(ganLoss) over all parts to the `.grad` of the decoder; returns lambda. */
export function adversarialBackward(
  { parts, reconstruct, losses }: AdversarialParts,
  { layer, ganWeight, maxWeight, recompute = false }: AdversarialBackwardOptions,
): number {
  const scope = <T>(enabled: boolean, fn: () => T): T => recomputing({ enabled }, () => tidy(fn));
  return scope(recompute, () => {
    const all = Array.from({ length: parts }, (_, part) =>
      scope(recompute && parts > 1, () => {
        const recon = reconstruct(part);
        const { reconLoss, ganLoss } = losses(recon, part);
        const [byRecon] = grad([reconLoss], [recon]) as [Tensor];
        const [byGan] = grad([ganLoss], [recon]) as [Tensor];
        const atLayer = (gradient: Tensor) =>
          grad([recon], [layer], { gradOutputs: [gradient], retainGraph: true })[0] as Tensor;
        const gradients = { byRecon, byGan, layerByRecon: atLayer(byRecon), layerByGan: atLayer(byGan) };
        return parts === 1 ? { ...gradients, recon } : gradients;
      }),
    );
    const sum = (tensors: readonly Tensor[]) => tensors.reduce((a, b) => a.add(b)).div(parts);
    const lambda = adaptiveWeight(
      sum(all.map((one) => one.layerByRecon)),
      sum(all.map((one) => one.layerByGan)),
      maxWeight === undefined ? {} : { maxWeight },
    );
    for (const [part, { byRecon, byGan, ...kept }] of all.entries()) {
      tidy(() => {
        const recon = 'recon' in kept ? kept.recon : reconstruct(part);
        backward(recon, { gradient: byRecon.add(byGan, { alpha: ganWeight * lambda }).div(parts) });
      });
    }
    return lambda;
  });
}

function norm(x: Tensor): Tensor {
  return x.to('f32').square().sum().sqrt();
}
