// Frechet distance of two sets of features, each taken as a Gaussian (spec 13.5): |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), in float64.
// With S = F'F that last trace is the sum of the singular values of F1 F2', so nothing is squared and no matrix root is taken: covariances
// of fewer samples than dimensions, where the eigenvalues of S1 S2 lose half of their digits, stay exact. The distance is floored at 0.
// "FID" is this distance of Inception features only; of other features name the features.

import { linalgEigh, linalgSvdvals, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

/** Mean [D] and covariance [D, D] (divided by N - 1) of D-dimensional features, float64. */
export interface FeatureStatistics {
  mean: Tensor;
  covariance: Tensor;
  /** [N, D] with factor' factor = covariance, where samples are few: it spares the eigenvalues of the covariance. */
  factor?: Tensor;
}

/** A Gaussian as the distance needs it: `factor` [R, D] with factor' factor = covariance, and the covariance's trace. */
interface Factored {
  mean: Tensor;
  factor: Tensor;
  trace: number;
}

/** Frechet distance of two Gaussians given by their moments (any float dtype; computed in float64). */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  return tidy(() => distance(fromMoments(a), fromMoments(b)));
}

/** Frechet distance of the features a [N, D] and b [M, D] themselves: for few samples the fast and exact way. */
export function frechetDistanceOfFeatures(a: Tensor, b: Tensor): number {
  return tidy(() => distance(fromFeatures(a), fromFeatures(b)));
}

/** Mean and covariance of features [N, D], N >= 2, in two float64 passes; `withFactor`: the factor too. */
export function featureStatistics(features: Tensor, { withFactor = false } = {}): FeatureStatistics {
  return tidy(() => {
    const { mean, centred } = centre(features);
    const N = features.size(0);
    const covariance = centred.t().matmul(centred);
    return { mean, covariance: covariance.div(N - 1), ...(withFactor && { factor: centred.div(Math.sqrt(N - 1)) }) };
  });
}

function distance(a: Factored, b: Factored): number {
  const [D] = a.mean.dims(1);
  if (b.mean.size(0) !== D)
    throw new ShapeError(
      expected('frechetDistance', `two sets of features of one width, ${D} as in the first`, b.mean.size(0)),
    );
  const shift = a.mean.sub(b.mean).square().sum().item();
  const overlap = a.factor.size(0) && b.factor.size(0) ? linalgSvdvals(a.factor.matmul(b.factor.t())).sum().item() : 0;
  return Math.max(0, shift + a.trace + b.trace - 2 * overlap);
}

function fromMoments({ mean, covariance, factor: given }: FeatureStatistics): Factored {
  const [D, columns] = covariance.dims(2);
  if (D !== columns || mean.numel !== D)
    throw new ShapeError(
      expected('frechetDistance', `a covariance of shape [${mean.numel}, ${mean.numel}]`, covariance.shape),
    );
  requireFinite(mean, 'means');
  requireFinite(covariance, 'covariances');
  const trace = covariance.to('f64').diagonal().sum().item();
  if (given) return { mean, factor: given, trace };
  const [values, vectors] = linalgEigh(covariance.to('f64')); // ascending
  const spectrum = values.toNumbers();
  const noise = Math.max(0, spectrum.at(-1) ?? 0) * D * Number.EPSILON; // eigenvalues below are rounding of zeros
  const first = spectrum.findIndex((value) => value > noise);
  const rank = first < 0 ? 0 : D - first;
  const factor = vectors
    .narrow(1, D - rank, rank)
    .mul(values.narrow(0, D - rank, rank).sqrt())
    .t(); // [R, D]
  return { mean: mean.to('f64').flatten(), factor, trace };
}

function fromFeatures(features: Tensor): Factored {
  const [N, D] = features.dims(2);
  if (N > D) return fromMoments(featureStatistics(features)); // the smaller problem
  const { mean, centred } = centre(features);
  const factor = centred.div(Math.sqrt(N - 1));
  return { mean, factor, trace: factor.square().sum().item() };
}

function centre(features: Tensor): { mean: Tensor; centred: Tensor } {
  const [N] = features.dims(2);
  if (N < 2) throw new ArgumentError(expected('featureStatistics', 'features of at least 2 samples', N));
  requireFinite(features, 'features');
  const x = features.to('f64');
  const mean = x.mean([0]);
  return { mean, centred: x.sub(mean) };
}

function requireFinite(x: Tensor, what: string): void {
  if (!x.isfinite().all().item())
    throw new ArgumentError(expected('frechetDistance', `finite ${what}`, 'NaN or infinity', 'Look at the features.'));
}
