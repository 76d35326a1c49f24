// Adversarial losses on discriminator logits of any shape (spec 5).

import { softplus, type Tensor, tidy } from '../tensor/index.ts';

export interface GanLossOptions {
  reduction?: 'mean' | 'sum';
}

/** Loss of the discriminator from its logits for real and for fake pictures, a scalar. */
export type DiscriminatorLoss = (logitsReal: Tensor, logitsFake: Tensor, options?: GanLossOptions) => Tensor;

/** Hinge: (mean relu(1 - real) + mean relu(1 + fake)) / 2. */
export const hingeLoss: DiscriminatorLoss = (logitsReal, logitsFake, options) =>
  tidy(() => halfSum(logitsReal.neg().add(1).relu(), logitsFake.add(1).relu(), options));

/** Logistic: (mean softplus(-real) + mean softplus(fake)) / 2. */
export const vanillaLoss: DiscriminatorLoss = (logitsReal, logitsFake, options) =>
  tidy(() => halfSum(softplus(logitsReal.neg()), softplus(logitsFake), options));

/** Discriminator losses by the names of the configuration. */
export const discriminatorLosses = { hinge: hingeLoss, vanilla: vanillaLoss } as const;

/** Generator: -mean(fake), beside either discriminator loss (the reference's "vanilla"). */
export function generatorLoss(logitsFake: Tensor, options?: GanLossOptions): Tensor {
  return tidy(() => reduce(logitsFake, options).neg());
}

/** Share of logits where the real picture scores higher than the fake one in the same place. */
export function discriminatorAccuracy(logitsReal: Tensor, logitsFake: Tensor): number {
  return tidy(() => logitsReal.gt(logitsFake).to('f32').mean().item());
}

/** What the discriminator is shown of a reconstruction in [-1, 1]: clamped, and rounded to 8 bits (half to even) as the real pictures are. */
export function quantize(images: Tensor): Tensor {
  return tidy(() => images.clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1));
}

function halfSum(real: Tensor, fake: Tensor, options?: GanLossOptions): Tensor {
  return reduce(real, options).add(reduce(fake, options)).mul(0.5);
}

function reduce(x: Tensor, { reduction = 'mean' }: GanLossOptions = {}): Tensor {
  return reduction === 'mean' ? x.mean() : x.sum();
}
