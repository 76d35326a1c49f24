// Adversarial losses on discriminator logits of any shape (spec 5).

import { softplus, type Tensor, tidy } from '../tensor/index.ts';

export interface GanLossOptions {
  reduction?: 'mean' | 'sum';
}

/** Loss of the discriminator from its logits for real and for fake pictures, a scalar. */
export type DiscriminatorLoss = (logitsReal: Tensor, logitsFake: Tensor, options?: GanLossOptions) => Tensor;

/** What a discriminator pays for each logit of a real and of a fake picture. */
export interface DiscriminatorTerms {
  real(logits: Tensor): Tensor;
  fake(logits: Tensor): Tensor;
}

/** The terms by the names of the configuration: hinge relu(1 - real), relu(1 + fake); vanilla softplus(-real), softplus(fake). */
export const discriminatorTerms = {
  hinge: { real: (x) => tidy(() => x.neg().add(1).relu()), fake: (x) => tidy(() => x.add(1).relu()) },
  vanilla: { real: (x) => tidy(() => softplus(x.neg())), fake: (x) => softplus(x) },
} as const satisfies Record<string, DiscriminatorTerms>;

/** Hinge: (mean relu(1 - real) + mean relu(1 + fake)) / 2. */
export const hingeLoss: DiscriminatorLoss = (real, fake, options) =>
  halfSum(discriminatorTerms.hinge, real, fake, options);

/** Logistic: (mean softplus(-real) + mean softplus(fake)) / 2. */
export const vanillaLoss: DiscriminatorLoss = (real, fake, options) =>
  halfSum(discriminatorTerms.vanilla, real, fake, options);

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

function halfSum(terms: DiscriminatorTerms, real: Tensor, fake: Tensor, options?: GanLossOptions): Tensor {
  return tidy(() =>
    reduce(terms.real(real), options)
      .add(reduce(terms.fake(fake), options))
      .mul(0.5),
  );
}

function reduce(x: Tensor, { reduction = 'mean' }: GanLossOptions = {}): Tensor {
  return reduction === 'mean' ? x.mean() : x.sum();
}
