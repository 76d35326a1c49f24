// Improved precision and recall (Kynkaanniemi et al. 2019; spec 13.5), density and coverage (Naeem et al. 2020) of two sets of features.
// Every point has a ball that reaches its k-th nearest neighbour of its own set. Precision: share of samples inside any ball of the
// reference; recall: share of the reference inside any ball of the samples. Distances are squared, in float64.
// Memory does not grow with the sets: distances, and the rows in float64 that they are of, exist a tile at a time.
// `half` repeats the ADM evaluator's float16 distances, which inflate precision where norms are large against distances. It falls back to
// float32 per tile that overflows, the evaluator per block of 10,000 x 10,000.

import { cat, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

const TILE = 1024; // rows and columns of distances held at a time: 8 MB, and 16 MB for each side's features of width 2048

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
    const radii = (x: Tensor) => tensor(neighbourDistances(x, k, half), { dtype: 'f64', device: reference.device });
    const [ofReference, ofSamples] = [radii(reference), radii(samples)];
    const [inside, recalled, covered] = [new Uint8Array(M), new Uint8Array(N), new Uint8Array(N)];
    let held = 0;
    for (const rows of spans(M)) {
      for (const columns of spans(N)) {
        tidy(() => {
          const distances = squaredDistances(part(samples, rows), part(reference, columns), half);
          const balls = part(ofReference, columns);
          const strictly = distances.lt(balls); // [rows, columns]
          held += strictly.sum().item();
          mark(inside, rows, distances.le(balls).anyDim(1));
          mark(covered, columns, strictly.anyDim(0));
          mark(recalled, columns, distances.le(part(ofSamples, rows).unsqueeze(1)).anyDim(0));
        });
      }
    }
    return {
      precision: count(inside) / M,
      recall: count(recalled) / N,
      density: held / (k * M),
      coverage: count(covered) / N,
    };
  });
}

/** Squared distance from each row of x [N, D] to its k-th nearest other row. */
export function neighbourDistances(x: Tensor, k: number, half = false): number[] {
  const found: number[] = [];
  const least = (t: Tensor) => t.topk(Math.min(k + 1, t.size(1)), 1, { largest: false })[0]; // ascending; the row itself is the first
  for (const rows of spans(x.size(0))) {
    const smallest = tidy(() => {
      let smallest: Tensor | undefined;
      for (const columns of spans(x.size(0))) {
        const last = smallest;
        smallest = tidy(() => {
          const tile = least(squaredDistances(part(x, rows), part(x, columns), half));
          return last ? least(cat([last, tile], 1)) : tile;
        });
        last?.dispose();
      }
      return smallest!.select(1, k).contiguous().toNumbers();
    });
    for (const value of smallest) found.push(value);
  }
  return found;
}

interface Span {
  start: number;
  length: number;
}

function spans(n: number): Span[] {
  return Array.from({ length: Math.ceil(n / TILE) }, (_, i) => ({
    start: i * TILE,
    length: Math.min(TILE, n - i * TILE),
  }));
}

function part(x: Tensor, { start, length }: Span): Tensor {
  return x.narrow(0, start, length);
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

function mark(flags: Uint8Array, { start }: Span, on: Tensor): void {
  for (const [i, value] of (on.toArray() as Uint8Array).entries()) flags[start + i]! |= value;
}

function count(flags: Uint8Array): number {
  return flags.reduce((sum, flag) => sum + flag, 0);
}
