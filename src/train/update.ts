// One optimiser update after backward: refuse what is not finite, clip, set the rate, step, average.

import { type AdamW, clipScale, type Ema, gradNorm, nonFiniteGrads } from '../optim/index.ts';
import { noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { RaeError } from '../util/errors.ts';

export interface Update {
  params: readonly (readonly [string, Tensor])[];
  optimizer: AdamW;
  ema?: Ema | undefined;
  /** Averages at other rates. */
  averages?: Iterable<Ema> | undefined;
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
export function applyUpdate({ params, optimizer, ema, averages, step, lr, clip, loss, terms }: Update): number {
  return tidy(() => {
    const tensors = params.map(([, p]) => p);
    const norm = gradNorm(tensors).item();
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const broken = brokenParameters(params);
      const where = broken.length > 0 ? `the parameters ${some(broken)}` : culprits(params, terms);
      throw new NonFiniteError(
        `step ${step}: expected finite numbers, received loss ${loss} and non-finite values in ${where}.`,
        broken.length > 0,
      );
    }
    optimizer.lr = lr;
    optimizer.step({ scale: clip > 0 ? clipScale(norm, clip) : 1, average: ema && { ema, n: step } });
    optimizer.zeroGrad();
    for (const average of averages ?? []) average.update(step);
    return norm;
  });
}

/** A loss or gradient that is not finite, before it has reached a parameter. */
export class NonFiniteError extends RaeError {
  /** What was found, and at which step. */
  readonly what: string;
  /** Whether parameters themselves are broken. */
  readonly parameters: boolean;

  constructor(what: string, parameters: boolean) {
    super(
      'ERR_NON_FINITE',
      `${what} The last checkpoint is kept: resume from it with a lower rate, fp32, or clipping.`,
    );
    this.what = what;
    this.parameters = parameters;
  }
}

/** Runs `update` and measures how far it moved the parameters: the norm of the change over the norm of the parameters before. */
export function updateRatio<T>(params: readonly Tensor[], update: () => T): { result: T; ratio: number } {
  return noGrad(() =>
    tidy(() => {
      const before = params.map((p) => p.detach().clone());
      const result = update();
      const squares = (list: readonly Tensor[]) =>
        tidy(() => list.reduce((sum, x) => sum + x.square().sum().item(), 0));
      const change = tidy(() => squares(params.map((p, i) => p.detach().sub(before[i]!))));
      return { result, ratio: Math.sqrt(change / squares(before)) };
    }),
  );
}

function brokenParameters(params: Update['params']): string[] {
  return params.filter(([, p]) => p.detach().isfinite().all().item() === 0).map(([name]) => name);
}

/** Where it began, as far as it can be told: parts of the loss and gradients. */
function culprits(params: Update['params'], terms: Update['terms'] = {}): string {
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
