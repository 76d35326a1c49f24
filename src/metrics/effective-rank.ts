// Effective rank of a set of features (Roy and Vetterli 2007): exp of the entropy of the singular values of the centred features, each as a
// share of their sum. D where all directions are equal, 1 where there is but one.

import { linalgEigvalsh, type Tensor, tidy } from '../tensor/index.ts';

/** Effective rank from the covariance [D, D] of the features, whose eigenvalues are the squares of their singular values. */
export function effectiveRank(covariance: Tensor): number {
  const spectrum = tidy(() => linalgEigvalsh(covariance.to('f64')).toNumbers());
  const noise = Math.max(0, ...spectrum) * spectrum.length * Number.EPSILON; // eigenvalues below are rounding of zeros
  const values = spectrum.filter((value) => value > noise).map(Math.sqrt);
  const sum = values.reduce((total, value) => total + value, 0);
  if (sum === 0) return 0;
  return Math.exp(values.reduce((entropy, value) => entropy - (value / sum) * Math.log(value / sum), 0));
}
