// k-nearest-neighbour classification by cosine similarity, float64: a probe without training. Majority vote, or votes weighted by
// exp(similarity / T) as DINO evaluates (Caron et al. 2021, T = 0.07).

import { arange, cat, linalgVectorNorm, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';

const ROWS = 1024; // queries compared at a time
const KEYS = 4096; // with so many features: 32 MB of similarities

export interface NearestOptions {
  k?: number;
  /** Votes count exp(similarity / temperature); one each when left out. */
  temperature?: number | undefined;
}

/** The class of each row of `queries` [M, D] by its k nearest rows of `features` [N, D]; the lowest class on ties. */
export function classifyByNeighbours(
  queries: Tensor,
  { features, labels }: { features: Tensor; labels: readonly number[] },
  { k = 20, temperature }: NearestOptions = {},
): number[] {
  if (labels.length !== features.size(0))
    throw new ShapeError(expected('classifyByNeighbours', `${features.size(0)} labels`, labels.length));
  return nearest(queries, features, k).map((neighbours) => {
    const votes = new Map<number, number>();
    for (const { index, similarity } of neighbours) {
      const label = labels[index]!;
      votes.set(label, (votes.get(label) ?? 0) + (temperature ? Math.exp(similarity / temperature) : 1));
    }
    const [first, ...rest] = [...votes].sort(([a], [b]) => a - b);
    return rest.reduce((best, vote) => (vote[1] > best[1] ? vote : best), first!)[0];
  });
}

/** For each query the k most similar rows of `features`, by decreasing similarity, ties by lower index. */
export function nearest(queries: Tensor, features: Tensor, k: number): { index: number; similarity: number }[][] {
  const [M] = queries.dims(2);
  const [N] = features.dims(2);
  if (!(Number.isInteger(k) && k >= 1 && k <= N))
    throw new ArgumentError(expected('nearest', `k from 1 to the ${N} rows of features`, k));
  const found: { index: number; similarity: number }[][] = [];
  for (let start = 0; start < M; start += ROWS) {
    tidy(() => {
      const rows = unit(queries.narrow(0, start, Math.min(ROWS, M - start)));
      let best: Neighbours | undefined;
      for (let first = 0; first < N; first += KEYS) {
        const before = best;
        best = tidy(() => {
          const keys = unit(features.narrow(0, first, Math.min(KEYS, N - first)));
          const values = rows.matmul(keys.t()).neg();
          const indices = arange(first, first + keys.size(0)).expand(values.shape);
          return least({ values, indices }, k, before);
        });
      }
      const { values, indices } = best!;
      const similarities = values.neg().toNumbers();
      for (const [i, index] of indices.toNumbers().entries()) {
        if (i % k === 0) found.push([]);
        found.at(-1)!.push({ index, similarity: similarities[i]! });
      }
    });
  }
  return found;
}

/** Similarities, negated, and whose they are, [rows, n] each. */
interface Neighbours {
  values: Tensor;
  indices: Tensor;
}

/** The k smallest values of each row, with those found `before` in front where they are equal: topk does not promise that. */
function least(found: Neighbours, k: number, before: Neighbours | undefined): Neighbours {
  const both = (which: keyof Neighbours) => (before ? cat([before[which], found[which]], 1) : found[which]);
  const [sorted, order] = both('values').sort(1); // stable
  const first = (x: Tensor) => x.narrow(1, 0, Math.min(k, x.size(1)));
  return { values: first(sorted).clone(), indices: both('indices').gather(1, first(order)) };
}

function unit(x: Tensor): Tensor {
  const wide = x.to('f64');
  return wide.div(linalgVectorNorm(wide, 2, [1], { keepdim: true }).clamp(1e-300));
}
