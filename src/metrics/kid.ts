// Kernel distance of two sets of features (Binkowski et al. 2018): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, float64.
// "KID" is its unbiased estimate averaged over random subsets of Inception features, drawn as torch-fidelity draws them.

import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { NumpyRandom } from './numpy-random.ts';

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
  seed?: number;
}

/** Mean and standard deviation of the unbiased distance over random subsets; one subset where it would be both sets as a whole. */
export function kid(
  x: Tensor,
  y: Tensor,
  { subsets = 100, subsetSize = 1000, seed = 2020 }: KidOptions = {},
): { mean: number; std: number; subsets: number; subsetSize: number } {
  const size = Math.min(subsetSize, x.size(0), y.size(0));
  const times = size === x.size(0) && size === y.size(0) ? 1 : subsets;
  const random = new NumpyRandom(seed);
  const values = Array.from({ length: times }, () =>
    tidy(() => {
      const some = (t: Tensor) => {
        const rows = random.permutation(t.size(0)).subarray(0, size);
        return t.indexSelect(0, tensor(rows, { dtype: 'i64', device: t.device }));
      };
      const [a, b] = [some(x), some(y)];
      return kernelDistance(a, b);
    }),
  );
  const mean = values.reduce((sum, value) => sum + value, 0) / times;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / times;
  return { mean, std: Math.sqrt(variance), subsets: times, subsetSize: size };
}
