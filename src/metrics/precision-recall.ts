// Improved precision and recall (Kynkaanniemi et al. 2019; spec 13.5), density and coverage (Naeem et al. 2020) of two sets of features.
// Every point has a ball that reaches its k-th nearest neighbour of its own set. Precision: share of samples inside any ball of the
// reference; recall: share of the reference inside any ball of the samples. Distances are squared, in float64.
// `half` repeats the ADM evaluator's float16 distances, which inflate precision where norms are large against distances. It falls back to
// float32 per strip of rows that overflows, the evaluator per block of 10,000 x 10,000.

import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

const ROWS = 512; // rows of distances held at a time: 200 MB against 50,000 columns

export interface PrecisionRecall {
  precision: number;
  recall: number;
  /** Mean number of reference balls that hold a sample, divided by k; open balls. */
  density: number;
  /** Share of reference balls, open, that hold a sample. */
  coverage: number;
}

export interface PrecisionRecallOptions {
  k?: number;
  half?: boolean;
}

/** Compares samples [M, D] with the reference [N, D]; both need more than k rows. */
export function precisionRecall(
  reference: Tensor,
  samples: Tensor,
  { k = 3, half = false }: PrecisionRecallOptions = {},
): PrecisionRecall {
  const [N, D] = reference.dims(2);
  const [M, width] = samples.dims(2);
  if (D !== width) throw new ShapeError(expected('precisionRecall', `samples of width ${D}`, samples.shape));
  if (!(k >= 1 && k < Math.min(N, M)))
    throw new ArgumentError(expected('precisionRecall', `k from 1 to ${Math.min(N, M) - 1}, one below the rows`, k));
  return tidy(() => {
    const device = reference.device;
    const radii = (x: Tensor) => tensor(neighbourDistances(x, k, half), { dtype: 'f64', device });
    const [ofReference, ofSamples] = [radii(reference), radii(samples)];
    const recalled = new Uint8Array(N);
    const covered = new Uint8Array(N);
    let [inside, held] = [0, 0];
    strips(samples, reference, half, (distances, start) => {
      const rows = distances.size(0);
      const within = distances.le(ofReference); // [rows, N]
      const strictly = distances.lt(ofReference);
      inside += within.anyDim(1).sum().item();
      held += strictly.sum().item();
      mark(covered, strictly.anyDim(0));
      mark(recalled, distances.le(ofSamples.narrow(0, start, rows).unsqueeze(1)).anyDim(0));
    });
    return {
      precision: inside / M,
      recall: count(recalled) / N,
      density: held / (k * M),
      coverage: count(covered) / N,
    };
  });
}

/** Squared distance from each row of x [N, D] to its k-th nearest other row. */
export function neighbourDistances(x: Tensor, k: number, half = false): number[] {
  const found: number[] = [];
  strips(x, x, half, (distances) => {
    const [smallest] = distances.topk(k + 1, 1, { largest: false }); // the row itself is the first
    found.push(...smallest.select(1, k).contiguous().toNumbers());
  });
  return found;
}

/** Hands over the squared distances of all rows of x to all rows of y, [rows, N] float64 at a time. */
function strips(x: Tensor, y: Tensor, half: boolean, use: (distances: Tensor, start: number) => void): void {
  for (let start = 0; start < x.size(0); start += ROWS) {
    tidy(() => {
      const rows = x.narrow(0, start, Math.min(ROWS, x.size(0) - start));
      use(squaredDistances(rows, y, half), start);
    });
  }
}

/** |u|^2 - 2 uv + |v|^2, at least 0. */
export function squaredDistances(x: Tensor, y: Tensor, half = false): Tensor {
  return tidy(() => {
    const round = half ? (t: Tensor) => t.to('f16').to('f64') : (t: Tensor) => t;
    const [u, v] = [round(x.to('f64')), round(y.to('f64'))];
    const lengths = (t: Tensor) => round(round(t.square()).sum(1));
    const twice = round(round(u.matmul(v.t())).mul(2));
    const distances = round(round(lengths(u).unsqueeze(1).sub(twice)).add(lengths(v)));
    if (!half || distances.isfinite().all().item()) return distances.clamp(0);
    return squaredDistances(x, y).to('f32').to('f64');
  });
}

function mark(flags: Uint8Array, on: Tensor): void {
  for (const [i, value] of (on.toArray() as Uint8Array).entries()) flags[i]! |= value;
}

function count(flags: Uint8Array): number {
  return flags.reduce((sum, flag) => sum + flag, 0);
}
