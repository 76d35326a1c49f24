// What stage 2 is about to be trained on, looked at before the first step: latents that are not normalised, or collapsed, train to noise
// and say nothing of it for hours. Normalised latents have mean 0 and variance 1 at every position; the effective rank is the exponential
// of the entropy of the covariance's spectrum over channels (Roy, Vetterli 2007).

import { spreadIndices } from '../data/index.ts';
import { linalgEigh, noGrad, tidy } from '../tensor/index.ts';
import { RaeError } from '../util/errors.ts';
import { figure } from '../util/format.ts';
import type { Log } from '../util/log.ts';
import type { LatentSet } from './latents.ts';

/** Pictures looked at: an encoder on a CPU takes seconds for them. */
const PICTURES = 64;

export interface LatentFigures {
  /** Root mean square over positions and channels of the mean, without what so few pictures show by chance. */
  offset: number;
  /** Mean over positions and channels of the variance. */
  variance: number;
  effectiveRank: number;
  /** C. */
  channels: number;
}

/** Moments and effective rank of some latents of a set. RaeError when they are not finite. */
export async function latentFigures(set: LatentSet): Promise<LatentFigures> {
  const batch = await set.read(spreadIndices(set.size, PICTURES));
  return noGrad(() =>
    tidy(() => {
      const x = batch.latents().to('f64'); // [N, C, h, w]
      const [N, channels] = x.dims(4);
      const mean = x.mean([0], { keepdim: true });
      const squares = x
        .sub(mean)
        .square()
        .sum([0])
        .div(Math.max(1, N - 1));
      const variance = squares.mean().item();
      if (!Number.isFinite(variance)) {
        throw new RaeError(
          'ERR_NON_FINITE',
          `latents: expected finite numbers, received a variance of ${variance}. Check encoder and statistics.`,
        );
      }
      const offset = Math.sqrt(Math.max(0, mean.square().mean().item() - variance / N));
      const tokens = x.permute([0, 2, 3, 1]).reshape([-1, channels]); // [N h w, C]
      const centred = tokens.sub(tokens.mean([0], { keepdim: true }));
      const [spectrum] = linalgEigh(centred.t().matmul(centred));
      const share = spectrum.clamp(1e-300).div(spectrum.clamp(0).sum().add(1e-300));
      const effectiveRank = Math.exp(-share.mul(share.log()).sum().item());
      return { offset, variance, effectiveRank, channels };
    }),
  );
}

/** What is wrong with such latents, one sentence each. */
export function latentComplaints({ offset, variance, effectiveRank, channels }: LatentFigures): string[] {
  const cause = 'The statistics belong to other latents, or have no mean: make them anew with `rae stats`.';
  return [
    ...(offset > 0.25
      ? [`latents: expected means near 0, received ${figure(offset)} (root mean square). ${cause}`]
      : []),
    ...(variance < 0.6 || variance > 1.6
      ? [`latents: expected variances near 1, received ${figure(variance)}. ${cause}`]
      : []),
    ...(effectiveRank < Math.max(1.5, channels / 50)
      ? [
          `latents: expected an effective rank of some of their ${channels} channels, received ${figure(effectiveRank)}. The encoder gives nearly the same everywhere: check its weights and pixel statistics.`,
        ]
      : []),
  ];
}

/** Says what the latents are like, and warns. RaeError as latentFigures. */
export async function checkLatents(set: LatentSet, log: Log): Promise<void> {
  const figures = await latentFigures(set);
  const { offset, variance, effectiveRank, channels } = figures;
  log.info(
    `latents: mean ${figure(offset)}, variance ${figure(variance)}, effective rank ${figure(effectiveRank)} of ${channels}`,
  );
  for (const sentence of latentComplaints(figures)) log.warn(sentence);
}
