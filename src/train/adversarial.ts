// The two halves of the adversarial game in stage 1 (spec 5, 6.4, 7), each over a batch in micro-batches: the gradients equal those of one
// large batch. Augmentation is drawn for the whole batch and sliced; every pass of the discriminator's training makes one power iteration.
// Pictures are [B, 3, H, W], in [0, 1] where they come from the decoder.

import { adversarialBackward } from '../losses/adaptive-weight.ts';
import { type DiffAugmentDraws, diffAugment, drawDiffAugment, sliceDraws } from '../losses/diff-augment.ts';
import { discriminatorAccuracy, generatorLoss, quantize } from '../losses/gan.ts';
import { toSigned } from '../losses/reconstruction.ts';
import { autocast, backward, cat, noGrad, type Tensor, tidy } from '../tensor/index.ts';
import type { Adversary } from './adversary.ts';
import { applyUpdate } from './update.ts';

export interface Batching {
  /** Pictures of a step, and of a micro-batch. */
  batch: number;
  micro: number;
  bf16: boolean;
  /** Activation checkpointing of the decoder. */
  recompute?: boolean;
}

export interface GeneratorParts {
  /** The decoder's last weight. */
  layer: Tensor;
  /** The reconstruction of the micro-batch that begins at picture `at`, with gradient; called twice where there are several. */
  reconstruct(at: number): Tensor;
  /** Its L1 and LPIPS, a mean; called once. */
  reconstructionLoss(recon: Tensor, at: number): Tensor;
}

/** Adds the decoder's gradient of the whole loss to `.grad`. Returns the adversarial loss and the adaptive weight. */
export function generatorGradients(
  {
    disc,
    augment,
    weight,
    maxWeight,
    generator,
  }: Pick<Adversary, 'disc' | 'augment' | 'weight' | 'maxWeight' | 'generator'>,
  { layer, reconstruct, reconstructionLoss }: GeneratorParts,
  { batch, micro, bf16, recompute = false }: Batching,
  draws: DiffAugmentDraws = drawDiffAugment(batch, { ...augment, generator }),
): { gan: number; lambda: number } {
  let gan = 0;
  disc.eval();
  const lambda = adversarialBackward(
    {
      parts: batch / micro,
      reconstruct: (part) => reconstruct(part * micro),
      losses: (recon, part) => {
        const fake = diffAugment(toSigned(recon), sliceDraws(draws, part * micro, micro), augment);
        const ganLoss = generatorLoss(autocast({ enabled: bf16 }, () => disc.forward(fake)));
        gan += (ganLoss.item() * micro) / batch;
        return { reconLoss: reconstructionLoss(recon, part * micro), ganLoss };
      },
    },
    { layer, ganWeight: weight, maxWeight, recompute },
  );
  return { gan, lambda };
}

export interface DiscriminatorFigures {
  loss: number;
  logits_real: number;
  logits_fake: number;
  accuracy: number;
}

/**
 * Adds the discriminator's gradient to `.grad`: first the fake pass over all micro-batches, then the real one. Reconstructions are to be
 * without latent noise, by the updated decoder; here they are clamped and rounded to 8 bits.
 */
export function discriminatorGradients(
  { disc, augment, terms, generator }: Pick<Adversary, 'disc' | 'augment' | 'terms' | 'generator'>,
  pictures: Record<'fake' | 'real', (at: number) => Tensor>,
  { batch, micro, bf16 }: Batching,
  draws: Record<'fake' | 'real', DiffAugmentDraws> = {
    fake: drawDiffAugment(batch, { ...augment, generator }),
    real: drawDiffAugment(batch, { ...augment, generator }),
  },
): DiscriminatorFigures {
  disc.train();
  let loss = 0;
  const pass = (kind: 'fake' | 'real') => {
    const logits: Tensor[] = [];
    for (let at = 0; at < batch; at += micro) {
      logits.push(
        tidy(() => {
          const shown = noGrad(() => {
            const signed = toSigned(pictures[kind](at));
            const seen = kind === 'fake' ? quantize(signed) : signed;
            return diffAugment(seen, sliceDraws(draws[kind], at, micro), augment);
          });
          const judged = autocast({ enabled: bf16 }, () => disc.forward(shown, { iterate: at === 0 }));
          const part = terms[kind](judged)
            .mean()
            .mul((0.5 * micro) / batch);
          backward(part);
          loss += part.item();
          return judged.detach();
        }),
      );
    }
    return cat(logits, 0); // [batch, J * N]
  };
  return tidy(() => {
    const fake = pass('fake');
    const real = pass('real');
    disc.eval();
    return {
      loss,
      logits_real: real.mean().item(),
      logits_fake: fake.mean().item(),
      accuracy: discriminatorAccuracy(real, fake),
    };
  });
}

/** Makes a step's updates of the discriminator, `since` steps after its first; returns the figures of the last, by their names in the log. */
export function updateDiscriminator(
  adversary: Adversary,
  pictures: Record<'fake' | 'real', (at: number) => Tensor>,
  batching: Batching,
  { step, since }: { step: number; since: number },
): { lr: number; [figure: string]: number } {
  const { params, optimizer, updates } = adversary;
  let last: { lr: number; [figure: string]: number } = { lr: 0 };
  for (let i = 0; i < updates; i++) {
    const lr = adversary.lr(since * updates + i);
    const { loss, logits_real, logits_fake, accuracy } = discriminatorGradients(adversary, pictures, batching);
    const terms = { 'loss/disc': loss };
    const norm = applyUpdate({ params, optimizer, step, lr, clip: 0, loss, terms });
    const logits = { 'disc/logits_real': logits_real, 'disc/logits_fake': logits_fake };
    last = { lr, ...terms, ...logits, 'disc/accuracy': accuracy, 'disc/grad_norm': norm };
  }
  return last;
}
