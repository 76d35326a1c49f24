// Principal components of features, float64: what directions they spread along, and where each of them lies on these.

import { linalgEigh, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

export interface Components {
  /** Rows of `features` along the components [M, k], float64, centred. */
  projected: Tensor;
  /** [k], the share of all variance along each, falling. */
  shares: number[];
}

/** The first `k` principal components of `features` [M, D]; each points to where its largest weight is positive, so that signs do not flip. */
export function principalComponents(features: Tensor, k: number): Components {
  const [M, D] = features.dims(2);
  if (!(Number.isInteger(k) && k >= 1 && k <= D && M >= 2)) {
    throw new ArgumentError(
      expected('principalComponents', `k from 1 to ${D} and at least 2 rows`, `${k} and ${M} rows`),
    );
  }
  return tidy(() => {
    const wide = features.to('f64');
    const centred = wide.sub(wide.mean([0], { keepdim: true }));
    const [values, vectors] = linalgEigh(centred.t().matmul(centred)); // rising
    const top = vectors.narrow(1, D - k, k).flip([1]);
    const largest = top.gather(0, top.abs().argmax(0, { keepdim: true }));
    const variances = values.clamp(0).flip([0]).toNumbers();
    const total = variances.reduce((sum, value) => sum + value, 0) || 1;
    return {
      projected: centred.matmul(top.mul(largest.sign())),
      shares: variances.slice(0, k).map((value) => value / total),
    };
  });
}
