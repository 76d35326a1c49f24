// Inception Score (Salimans et al. 2016; spec 13.5): exp of the mean KL divergence between class probabilities and their average, per split
// of the samples, averaged over the splits. float64. The ADM evaluator takes probabilities without the classifier's bias and consecutive
// splits of 5000; torch-fidelity shuffles the samples (seed 2020) and divides them into 10 splits of nearly equal size.

import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { NumpyRandom } from './numpy-random.ts';

export interface InceptionScore {
  mean: number;
  /** Population standard deviation over the splits. */
  std: number;
  perSplit: number[];
}

/** `shuffle`: the seed of the order in which the samples are divided, torch-fidelity's rule; as they come when left out. */
export type SplitOptions = ({ splitSize: number } | { splits: number }) & { shuffle?: number };

/** Score of logits [N, K], in the order of the samples. Default: the ADM evaluator's splits of 5000, the last may be shorter. */
export function inceptionScore(logits: Tensor, options: SplitOptions = { splitSize: 5000 }): InceptionScore {
  const [N] = logits.dims(2);
  const { shuffle } = options;
  const order = shuffle === undefined ? undefined : new NumpyRandom(shuffle).permutation(N);
  const perSplit = ranges(N, options).map(([start, end]) =>
    tidy(() => {
      const rows = order && tensor(order.subarray(start, end), { dtype: 'i64', device: logits.device });
      const split = rows ? logits.indexSelect(0, rows) : logits.narrow(0, start, end - start);
      const logP = split.to('f64').logSoftmax(1);
      const p = logP.exp();
      const logMarginal = p.mean(0, { keepdim: true }).log();
      return Math.exp(p.mul(logP.sub(logMarginal)).sum(1).mean().item());
    }),
  );
  const mean = average(perSplit);
  return { mean, std: Math.sqrt(average(perSplit.map((score) => (score - mean) ** 2))), perSplit };
}

/** Logits of pooled features [N, D] under a class matrix [K, D], without bias as the ADM evaluator has it. */
export function unbiasedLogits(features: Tensor, weight: Tensor): Tensor {
  return tidy(() => features.to('f64').matmul(weight.to('f64').t()));
}

function ranges(N: number, options: SplitOptions): [number, number][] {
  const wanted = 'splits' in options ? options.splits : options.splitSize;
  if (!(Number.isInteger(wanted) && wanted >= 1) || N < ('splits' in options ? wanted : 1))
    throw new ArgumentError(expected('inceptionScore', `a number of splits that ${N} samples can fill`, wanted));
  if ('splits' in options) {
    const edge = (i: number) => Math.floor((i * N) / wanted);
    return Array.from({ length: wanted }, (_, i) => [edge(i), edge(i + 1)]);
  }
  return Array.from({ length: Math.ceil(N / wanted) }, (_, i) => [i * wanted, Math.min(N, (i + 1) * wanted)]);
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
