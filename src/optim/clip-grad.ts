// The global gradient norm and clipping by it (torch.nn.utils.clip_grad_norm_): g <- g * min(1, maxNorm / (norm + 1e-6)).

import {
  canFuseAll,
  foreach,
  gradNormFused,
  linalgVectorNorm,
  noGrad,
  stack,
  type Tensor,
  tidy,
  zeros,
} from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

/** Euclidean norm over all gradients together (f32, 0-d; 0 when there are none). Reading it waits for the device. */
export function gradNorm(params: Iterable<Tensor>): Tensor {
  return noGrad(() => tidy(() => totalNorm(gradsOf(params))));
}

/** Scales all gradients in place so that their global norm is at most `maxNorm`; returns the norm before. */
export function clipGradNorm_(params: Iterable<Tensor>, maxNorm: number): Tensor {
  if (!(maxNorm > 0)) {
    throw new ArgumentError(
      expected('clipGradNorm_', 'a positive norm', maxNorm, 'Use gradNorm to measure without clipping.'),
    );
  }
  const list = [...params];
  const norm = gradNorm(list);
  scaleGrads_(list, norm, maxNorm);
  return norm;
}

/** The second half of clipGradNorm_: scales by a norm that is known. One that is not finite makes every gradient so. */
function scaleGrads_(params: Iterable<Tensor>, norm: Tensor, maxNorm: number): void {
  noGrad(() =>
    tidy(() => {
      const grads = gradsOf(params);
      // Multiplied even when the factor is 1, so that no number has to come back from the device.
      if (grads.length > 0) foreach.mul_(grads, norm.add(1e-6).reciprocal().mul(maxNorm).clamp(undefined, 1));
    }),
  );
}

/** What clipping by `norm` multiplies gradients with, in float32 as scaleGrads_. */
export function clipScale(norm: number, maxNorm: number): number {
  return Math.min(1, Math.fround(Math.fround(1 / Math.fround(norm + 1e-6)) * maxNorm));
}

/** Names of the parameters whose gradient holds an infinity or NaN, for the message of a run that has to stop. */
export function nonFiniteGrads(params: Iterable<readonly [string, Tensor]>): string[] {
  return tidy(() => [...params].filter(([, { grad }]) => grad?.isfinite().all().item() === 0).map(([name]) => name));
}

function gradsOf(params: Iterable<Tensor>): Tensor[] {
  return [...params].flatMap(({ grad }) => grad ?? []);
}

function totalNorm(grads: readonly Tensor[]): Tensor {
  if (grads.length === 0) return zeros([]);
  if (canFuseAll(grads)) return gradNormFused(grads);
  return linalgVectorNorm(stack(foreach.norm([...grads])), 2);
}
