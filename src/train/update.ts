// One optimiser update after backward: refuse what is not finite, clip, set the rate, step, average.

import { type AdamW, clipGradNorm_, type Ema, gradNorm, nonFiniteGrads } from '../optim/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { tidy } from '../tensor/index.ts';
import { RaeError } from '../util/errors.ts';

export interface Update {
  params: readonly (readonly [string, Tensor])[];
  optimizer: AdamW;
  ema: Ema;
  /** Optimiser steps made before this one. */
  step: number;
  lr: number;
  /** Largest global gradient norm; 0 = off. */
  clip: number;
  /** The step's loss, for the message. */
  loss: number;
}

/** Applies the gradients in `.grad` and clears them; returns their global norm before clipping. Throws when they are not finite. */
export function applyUpdate({ params, optimizer, ema, step, lr, clip, loss }: Update): number {
  return tidy(() => {
    const tensors = params.map(([, p]) => p);
    const norm = (clip > 0 ? clipGradNorm_(tensors, clip) : gradNorm(tensors)).item();
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const names = nonFiniteGrads(params);
      const where =
        names.length === 0
          ? 'the loss alone'
          : `the gradients of ${names.slice(0, 4).join(', ')}${names.length > 4 ? ` and ${names.length - 4} more` : ''}`;
      throw new RaeError(
        'ERR_NON_FINITE',
        `step ${step}: expected finite numbers, received loss ${loss} and non-finite values in ${where}. ` +
          'The last checkpoint is kept: resume from it with a lower rate, fp32, or clipping.',
      );
    }
    optimizer.lr = lr;
    optimizer.step();
    optimizer.zeroGrad();
    ema.update(step);
    return norm;
  });
}
