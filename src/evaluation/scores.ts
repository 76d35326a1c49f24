// The figures themselves, from what the passes left: sets of features against a reference, pictures against their originals, classes.

import { effectiveRank } from '../metrics/effective-rank.ts';
import { type FeatureStatistics, frechetDistance } from '../metrics/frechet.ts';
import { type InceptionScore, inceptionScore } from '../metrics/inception-score.ts';
import { kid } from '../metrics/kid.ts';
import { classifyByNeighbours } from '../metrics/knn.ts';
import { NumpyRandom } from '../metrics/numpy-random.ts';
import { type PrecisionRecall, precisionRecall } from '../metrics/precision-recall.ts';
import { fitLogistic } from '../metrics/probe.ts';
import {
  extrapolate,
  extrapolationSizes,
  type Interval,
  interval,
  type ResamplingMethod,
} from '../metrics/resampling.ts';
import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { momentsOfRows } from './moments.ts';

export interface Score {
  /** As --metrics names it. */
  metric: string;
  /** As people write it: FID, sFID, FD-DINOv2. */
  name: string;
  value: number;
  /** Spread over splits, subsets or pictures, as the metric has it. */
  std?: number;
  interval?: Interval;
  /** Pictures it is computed from, and of the reference. */
  n: number;
  reference?: number;
  /** What belongs to the rule: k, splits, where an interval could not be had. */
  note?: string;
  values?: number[];
}

export interface Resampling {
  method: ResamplingMethod;
  resamples: number;
}

/** Adds an interval where one is asked for; `figure` computes the value of some of the samples, which is never below `least`. */
function withInterval(
  score: Score,
  how: Resampling | undefined,
  figure: (rows: Tensor) => number,
  { least = Number.NEGATIVE_INFINITY } = {},
): Score {
  if (!how) return score;
  const found = interval(score.value, score.n, figure, how);
  return { ...score, interval: { ...found, low: Math.max(least, found.low) } };
}

/** Frechet distance of moments, its interval from the features where they are given. */
export function frechetScore(
  { metric, name }: { metric: string; name: string },
  samples: FeatureStatistics & { count: number },
  reference: FeatureStatistics & { count?: number | undefined },
  { features, resampling }: { features?: Tensor | undefined; resampling?: Resampling | undefined } = {},
): Score {
  const score: Score = {
    metric,
    name,
    value: frechetDistance(samples, reference),
    n: samples.count,
    ...(reference.count !== undefined && { reference: reference.count }),
  };
  if (!features) return score;
  return withInterval(score, resampling, (rows) => frechetDistance(momentsOfRows(features, rows), reference), {
    least: 0,
  });
}

/** The Frechet distance for infinitely many samples, from the line that it keeps to. */
export function frechetInfinity(name: string, features: Tensor, reference: FeatureStatistics): Score {
  const n = features.size(0);
  const random = new NumpyRandom(0);
  const points = extrapolationSizes(n).map((size) =>
    tidy(() => {
      const rows = tensor(random.permutation(n).subarray(0, size), { dtype: 'i64' });
      return { n: size, value: frechetDistance(momentsOfRows(features, rows), reference) };
    }),
  );
  const { limit, slope } = extrapolate(points);
  const note = `${points.length} sizes from ${points[0]!.n} to ${n}; falls as ${slope.toPrecision(3)} / N`;
  return { metric: 'fid-infinity', name: `${name} infinity`, value: limit, n, note };
}

/** Inception Score of logits without bias, by ADM's splits and by torch-fidelity's. */
export function inceptionScores(logits: Tensor, resampling: Resampling | undefined): Score[] {
  const [n] = logits.dims(2);
  const splits = Math.min(10, n);
  const rules = [
    { name: 'IS', note: 'splits of 5000 as they come (ADM)', of: (x: Tensor) => inceptionScore(x) },
    {
      name: 'IS (torch-fidelity)',
      note: `${splits} splits, shuffled by seed 2020`,
      of: (x: Tensor): InceptionScore => inceptionScore(x, { splits: Math.min(splits, x.size(0)), shuffle: 2020 }),
    },
  ];
  return rules.map(({ name, note, of }) => {
    const { mean, std } = of(logits);
    const score = { metric: 'is', name, value: mean, std, n, note };
    return withInterval(score, resampling, (rows) => of(logits.indexSelect(0, rows)).mean);
  });
}

const ballNames = ['precision', 'recall', 'density', 'coverage'] as const;

/** Precision, recall, density and coverage, those of `wanted`. */
export function ballScores(
  reference: Tensor,
  samples: Tensor,
  {
    k,
    half,
    wanted,
    resampling,
  }: { k: number; half: boolean; wanted: readonly string[]; resampling?: Resampling | undefined },
): Score[] {
  const [n, m] = [samples.size(0), reference.size(0)];
  const all = precisionRecall(reference, samples, { k, half });
  const note = `k ${k}${half ? ', distances in float16 as ADM' : ''}`;
  const scores = ballNames
    .filter((name) => wanted.includes(name))
    .map((metric): Score => ({ metric, name: metric, value: all[metric], n, reference: m, note }));
  if (!resampling) return scores;
  if (resampling.method === 'bootstrap') {
    return scores.map((score) => ({ ...score, note: `${note}; ${NO_BOOTSTRAP}` }));
  }
  const again = new Map<string, PrecisionRecall>(); // the four share their balls
  const shares = (rows: Tensor) => {
    const key = `${rows.toNumbers()}`;
    const found = again.get(key) ?? precisionRecall(reference, samples.indexSelect(0, rows), { k, half });
    again.set(key, found);
    return found;
  };
  return scores.map((score) =>
    withInterval(score, resampling, (rows) => shares(rows)[score.metric as keyof PrecisionRecall], { least: 0 }),
  );
}

const NO_BOOTSTRAP = 'no interval by bootstrap: a repeated sample is its own neighbour; take subset';

/** KID: mean and spread over subsets. */
export function kernelScore(
  samples: Tensor,
  reference: Tensor,
  name: string,
  resampling: Resampling | undefined,
): Score {
  const { mean, std, subsets, subsetSize } = kid(samples, reference);
  const note = `${subsets} subsets of ${subsetSize}`;
  const score: Score = {
    metric: 'kid',
    name,
    value: mean,
    std,
    n: samples.size(0),
    reference: reference.size(0),
    note,
  };
  if (resampling?.method === 'bootstrap') return { ...score, note: `${note}; ${NO_BOOTSTRAP}` };
  return withInterval(score, resampling, (rows) => kid(samples.indexSelect(0, rows), reference, { subsets: 10 }).mean);
}

const pairTitles: Readonly<Record<string, string>> = { psnr: 'PSNR dB', ssim: 'SSIM', lpips: 'LPIPS' };

/** Mean of a figure of every picture; the figures themselves go with it. */
export function meanScore(metric: string, values: readonly number[], resampling: Resampling | undefined): Score {
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const value = mean(values);
  const std = Math.sqrt(mean(values.map((x) => (x - value) ** 2)));
  const score = { metric, name: pairTitles[metric] ?? metric, value, std, n: values.length, values: [...values] };
  return withInterval(score, resampling, (rows) => mean(rows.toNumbers().map((row) => values[row]!)));
}

interface Labelled {
  features: Tensor;
  labels: readonly number[];
}

/** Top-1 of a linear probe and of nearest neighbours, trained on one set and tried on another. */
export function classScores(train: Labelled, test: Labelled, wanted: readonly string[]): Score[] {
  const [n, reference] = [test.labels.length, train.labels.length];
  const classes = Math.max(...train.labels, ...test.labels) + 1;
  const scores: Score[] = [];
  if (wanted.includes('probe')) {
    const probe = fitLogistic(train.features, train.labels, { classes });
    const note = 'multinomial logistic regression on standardised features, l2 1e-3';
    scores.push({
      metric: 'probe',
      name: 'linear probe',
      value: probe.accuracy(test.features, test.labels),
      n,
      reference,
      note,
    });
    probe.dispose();
  }
  if (wanted.includes('knn')) {
    const k = Math.min(20, reference);
    const found = classifyByNeighbours(test.features, train, { k, temperature: 0.07 });
    const right = found.filter((label, i) => label === test.labels[i]).length;
    const note = `k ${k}, cosine similarity, votes weighted by exp(s / 0.07)`;
    scores.push({ metric: 'knn', name: 'k-NN', value: right / n, n, reference, note });
  }
  return scores;
}

/** Effective rank of a set's features. */
export function rankScore(moments: FeatureStatistics & { count: number }): Score {
  const note = `of ${moments.mean.numel} dimensions; exp of the entropy of the singular values`;
  return { metric: 'rank', name: 'effective rank', value: effectiveRank(moments.covariance), n: moments.count, note };
}
