// Kernel distance of two sets of features (Binkowski et al. 2018): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, float64.
// "KID" is its unbiased estimate averaged over random subsets of Inception features.

import { type Generator, randperm, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

/** Squared discrepancy of x [M, D] and y [N, D]; the unbiased estimate leaves out each point's kernel with itself and may be negative. */
export function kernelDistance(x: Tensor, y: Tensor, { unbiased = true }: { unbiased?: boolean } = {}): number {
  const [M, D] = x.dims(2);
  const [N, width] = y.dims(2);
  if (D !== width) throw new ShapeError(expected('kernelDistance', `features of width ${D}`, y.shape));
  if (Math.min(M, N) < 2) throw new ArgumentError(expected('kernelDistance', 'at least 2 rows each', Math.min(M, N)));
  return tidy(() => {
    const [a, b] = [x.to('f64'), y.to('f64')];
    const kernel = (p: Tensor, q: Tensor) => p.matmul(q.t()).div(D).add(1).pow(3);
    const within = (p: Tensor, n: number) => {
      const k = kernel(p, p);
      const sum = k.sum().item();
      return unbiased ? (sum - k.diagonal().sum().item()) / (n * (n - 1)) : sum / n ** 2;
    };
    return within(a, M) + within(b, N) - 2 * kernel(a, b).mean().item();
  });
}

export interface KidOptions {
  subsets?: number;
  /** Rows of each subset; fewer where a set is smaller. */
  subsetSize?: number;
  generator?: Generator | undefined;
}

/** Mean and standard deviation of the unbiased distance over random subsets. */
export function kid(
  x: Tensor,
  y: Tensor,
  { subsets = 100, subsetSize = 1000, generator }: KidOptions = {},
): { mean: number; std: number } {
  const size = Math.min(subsetSize, x.size(0), y.size(0));
  const options = generator ? { generator } : {};
  const values = Array.from({ length: subsets }, () =>
    tidy(() => {
      const some = (t: Tensor) =>
        t.indexSelect(0, randperm(t.size(0), options).narrow(0, 0, size).to({ device: t.device }));
      return kernelDistance(some(x), some(y));
    }),
  );
  const mean = values.reduce((sum, value) => sum + value, 0) / subsets;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / subsets;
  return { mean, std: Math.sqrt(variance) };
}
