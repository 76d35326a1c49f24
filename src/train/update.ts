// One optimiser update after backward: refuse what is not finite, clip, set the rate, step, average.

import { type AdamW, type Ema, gradNorm, nonFiniteGrads, scaleGrads_ } from '../optim/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { tidy } from '../tensor/index.ts';
import { RaeError } from '../util/errors.ts';

export interface Update {
  params: readonly (readonly [string, Tensor])[];
  optimizer: AdamW;
  ema?: Ema | undefined;
  /** Optimiser steps made before this one. */
  step: number;
  lr: number;
  /** Largest global gradient norm; 0 = off. */
  clip: number;
  /** The step's loss, for the message. */
  loss: number;
  /** What the loss is made of, by name: the message says which of them is not finite. */
  terms?: Readonly<Record<string, number>> | undefined;
}

/** Applies the gradients in `.grad` and clears them; returns their global norm before clipping. Throws when they are not finite. */
export function applyUpdate({ params, optimizer, ema, step, lr, clip, loss, terms }: Update): number {
  return tidy(() => {
    const tensors = params.map(([, p]) => p);
    const total = gradNorm(tensors);
    const norm = total.item();
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      throw new RaeError(
        'ERR_NON_FINITE',
        `step ${step}: expected finite numbers, received loss ${loss} and non-finite values in ${culprits(params, terms)}. ` +
          'The last checkpoint is kept: resume from it with a lower rate, fp32, or clipping.',
      );
    }
    if (clip > 0) scaleGrads_(tensors, total, clip);
    optimizer.lr = lr;
    optimizer.step();
    optimizer.zeroGrad();
    ema?.update(step);
    return norm;
  });
}

/** Where it began, as far as it can be told: parameters that are broken already, else parts of the loss and gradients. */
function culprits(params: Update['params'], terms: Update['terms'] = {}): string {
  const broken = params.filter(([, p]) => p.detach().isfinite().all().item() === 0).map(([name]) => name);
  if (broken.length > 0) return `the parameters ${some(broken)}`;
  const parts = Object.entries(terms).flatMap(([name, value]) => (Number.isFinite(value) ? [] : [name]));
  const grads = nonFiniteGrads(params);
  const where = [
    ...(parts.length > 0 ? [some(parts)] : []),
    ...(grads.length > 0 ? [`the gradients of ${some(grads)}`] : []),
  ];
  return where.length > 0 ? where.join(' and ') : 'the loss alone';
}

function some(names: readonly string[]): string {
  return `${names.slice(0, 4).join(', ')}${names.length > 4 ? ` and ${names.length - 4} more` : ''}`;
}
