// Paths between data (t = 0) and noise (t = 1): x_t = alpha(t) data + sigma(t) noise (SiT, arXiv 2401.08740; spec, section 10).
// Every coefficient is a function of a tensor of times, computed in its dtype as the reference does.
// Differs from the reference: `vp` carries its own drift. The reference integrates VP scores with the coefficients of another
// process (-beta x / 2, beta / 2), which do not belong to its alpha and sigma; `vp-reference` repeats that.

import { onesLike, type Tensor } from '../tensor/index.ts';
import { expected, nearest } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

export interface Path {
  readonly name: string;
  alpha(t: Tensor): Tensor;
  sigma(t: Tensor): Tensor;
  /** d alpha / dt. */
  alphaSlope(t: Tensor): Tensor;
  /** d sigma / dt. */
  sigmaSlope(t: Tensor): Tensor;
  /** d log alpha / dt. */
  logAlphaSlope(t: Tensor): Tensor;
  /** [a, b] of velocity = a x + b score: a = alpha'/alpha, b = alpha'/alpha sigma^2 - sigma sigma'. */
  scoreOde(t: Tensor): [Tensor, Tensor];
}

/** alpha = 1 - t, sigma = t. */
export const linear: Path = {
  name: 'linear',
  alpha: (t) => t.neg().add(1),
  sigma: (t) => t,
  alphaSlope: (t) => onesLike(t).neg(),
  sigmaSlope: (t) => onesLike(t),
  logAlphaSlope: (t) => t.neg().add(1).reciprocal().neg(),
  scoreOde: (t) => scoreOde(linear, t),
};

/** alpha = cos(pi t / 2), sigma = sin(pi t / 2). */
export const gvp: Path = {
  name: 'gvp',
  alpha: (t) => t.mul(Math.PI / 2).cos(),
  sigma: (t) => t.mul(Math.PI / 2).sin(),
  alphaSlope: (t) =>
    t
      .mul(Math.PI / 2)
      .sin()
      .mul(-Math.PI / 2),
  sigmaSlope: (t) =>
    t
      .mul(Math.PI / 2)
      .cos()
      .mul(Math.PI / 2),
  logAlphaSlope: (t) =>
    t
      .mul(Math.PI / 2)
      .tan()
      .mul(-Math.PI / 2),
  scoreOde: (t) => scoreOde(gvp, t),
};

const betaMin = 0.1; // the reference's sigma_min and sigma_max
const betaMax = 20;

/** log sigma = -(1 - t)^2 (betaMax - betaMin) / 4 - (1 - t) betaMin / 2, alpha = sqrt(1 - sigma^2). */
export const vp: Path = {
  name: 'vp',
  alpha: (t) => logSigma(t).mul(2).exp().neg().add(1).sqrt(),
  sigma: (t) => logSigma(t).exp(),
  alphaSlope(t) {
    const square = logSigma(t).mul(2).exp();
    return square.mul(logSigmaSlope(t)).div(square.neg().add(1).sqrt()).neg();
  },
  sigmaSlope: (t) => logSigma(t).exp().mul(logSigmaSlope(t)),
  logAlphaSlope(t) {
    const square = logSigma(t).mul(2).exp();
    return square.mul(logSigmaSlope(t)).div(square.neg().add(1)).neg();
  },
  scoreOde: (t) => scoreOde(vp, t),
};

/** VP with the reference's score ODE: a = beta / 2, b = beta / 2, beta = betaMin + (1 - t)(betaMax - betaMin). Wrong on purpose. */
export const vpReference: Path = {
  ...vp,
  name: 'vp-reference',
  scoreOde(t) {
    const half = t
      .neg()
      .add(1)
      .mul(betaMax - betaMin)
      .add(betaMin)
      .mul(0.5);
    return [half, half];
  },
};

export const paths = { linear, gvp, vp, 'vp-reference': vpReference } as const satisfies Record<string, Path>;
export type PathName = keyof typeof paths;

/** The path of this name, in any case: the reference's configurations write Linear, GVP, VP. */
export function pathNamed(name: string): Path {
  const key = name.toLowerCase();
  if (Object.hasOwn(paths, key)) return paths[key as PathName];
  const near = nearest(key, Object.keys(paths));
  throw new ArgumentError(
    expected('pathNamed', `one of ${Object.keys(paths).join(', ')}`, name, near && `Did you mean '${near}'?`),
  );
}

/** x_t = alpha(t) data + sigma(t) noise. `data`, `noise` [B, ...], `t` [B]. */
export function interpolate(path: Path, data: Tensor, noise: Tensor, t: Tensor): Tensor {
  return over(path.alpha(t), data)
    .mul(data)
    .add(over(path.sigma(t), data).mul(noise));
}

/** The velocity along the path, u_t = alpha'(t) data + sigma'(t) noise; noise - data on the linear one. `t` [B]. */
export function velocityTarget(path: Path, data: Tensor, noise: Tensor, t: Tensor): Tensor {
  return over(path.alphaSlope(t), data)
    .mul(data)
    .add(over(path.sigmaSlope(t), data).mul(noise));
}

/** Reshapes a coefficient [B] (or [1]) so that it multiplies samples [B, ...]. */
export function over(coefficient: Tensor, x: Tensor): Tensor {
  return coefficient.reshape([-1, ...Array.from({ length: x.ndim - 1 }, () => 1)]);
}

function scoreOde(path: Path, t: Tensor): [Tensor, Tensor] {
  const ratio = path.logAlphaSlope(t);
  const sigma = path.sigma(t);
  return [ratio, ratio.mul(sigma.square()).sub(sigma.mul(path.sigmaSlope(t)))];
}

function logSigma(t: Tensor): Tensor {
  const rest = t.neg().add(1);
  return rest
    .square()
    .mul((betaMin - betaMax) / 4)
    .sub(rest.mul(betaMin / 2));
}

function logSigmaSlope(t: Tensor): Tensor {
  return t
    .neg()
    .add(1)
    .mul((betaMax - betaMin) / 2)
    .add(betaMin / 2);
}
