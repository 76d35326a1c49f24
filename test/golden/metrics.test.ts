// Golden values of the metrics. Where the fixtures hold several computations of one number, the exact one is compared tightly.

import { expect } from 'vitest';
import { FeatureMoments } from '../../src/metrics/feature-moments.ts';
import { featureStatistics, frechetDistance, frechetDistanceOfFeatures } from '../../src/metrics/frechet.ts';
import { inceptionScore, unbiasedLogits } from '../../src/metrics/inception-score.ts';
import { kernelDistance } from '../../src/metrics/kid.ts';
import { classifyByNeighbours, nearest } from '../../src/metrics/knn.ts';
import { neighbourDistances, precisionRecall, squaredDistances } from '../../src/metrics/precision-recall.ts';
import { fitRidge } from '../../src/metrics/probe.ts';
import { psnr } from '../../src/metrics/psnr.ts';
import { ssim } from '../../src/metrics/ssim.ts';
import { type Tensor, tidy } from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Limits, runArea } from './harness.ts';
import { inceptionKinds, limits } from './metrics-inception.ts';

function fidMoments(entry: Entry, fixture: Fixture): void {
  type Case = { name: string; atol: number; symmetric_eigh: number; exact_low_rank?: number; closed_form?: number };
  for (const c of entry.config.cases as Case[]) {
    const moments = (i: number) => ({
      mean: fixture.get(`inputs/${c.name}/mu${i}`),
      covariance: fixture.get(`inputs/${c.name}/sigma${i}`),
    });
    const ours = frechetDistance(moments(1), moments(2));
    // A wide atol marks singular covariances, whose zeros the stored computations see as noise: each takes a root of about 1e-16.
    const singular = c.atol > 1e-9;
    expectClose(ours, c.symmetric_eigh, { atol: c.atol, rtol: singular ? 2e-8 : 0 }, c.name);
    if (c.exact_low_rank !== undefined) expectClose(ours, c.exact_low_rank, { atol: 1e-8 }, `${c.name}, exact`);
    if (c.closed_form !== undefined) expectClose(ours, c.closed_form, { atol: 1e-9 }, `${c.name}, closed form`);
  }
}

function fidFeatures(entry: Entry, fixture: Fixture): void {
  type Case = { name: string; reference_float64: number; symmetric_eigh: number };
  for (const c of entry.config.cases as Case[]) {
    const features = [1, 2].map((i) => fixture.get(`${c.name}/inputs/features${i}`)) as [Tensor, Tensor];
    const statistics = features.map((x, i) => {
      const { mean, covariance } = featureStatistics(x);
      expectClose(mean, fixture.get(`${c.name}/outputs/mu${i + 1}_float64`), { atol: 1e-12, rtol: 1e-12 }, 'mean');
      const sigma = fixture.get(`${c.name}/outputs/sigma${i + 1}`);
      expectClose(covariance, sigma, limits(entry, 'sigma'), `${c.name} sigma`);
      const streamed = new FeatureMoments();
      for (const part of x.split(7)) streamed.add(part);
      expectClose(streamed.result().covariance, sigma, limits(entry, 'sigma'), `${c.name} streamed sigma`);
      streamed.dispose();
      return { mean, covariance };
    });
    for (const ours of [frechetDistance(statistics[0]!, statistics[1]!), frechetDistanceOfFeatures(...features)]) {
      expectClose(ours, c.reference_float64, limits(entry, 'fid'), c.name);
      expectClose(ours, c.symmetric_eigh, limits(entry, 'fid'), c.name);
    }
  }
}

function psnrSsim(entry: Entry, fixture: Fixture): void {
  type Case = { name: string; psnr: number; ssim: number | null; ssim_float64?: number };
  type Mean = { names: string[]; psnr: number; ssim: number };
  const pair = (name: string) =>
    (['a', 'b'] as const).map((i) => referenceRange(fixture.get(`${name}/inputs/${i}`))) as [Tensor, Tensor];
  for (const c of entry.config.cases as Case[]) {
    const [a, b] = pair(c.name);
    expectClose(psnr(a, b)[0]!, c.psnr, limits(entry, 'psnr'), `${c.name} psnr`);
    if (c.ssim === null) {
      expect(() => ssim(a, b)).toThrow(/sides of at least 6/);
      continue;
    }
    const ours = ssim(a, b)[0]!;
    expectClose(ours, c.ssim, limits(entry, 'ssim'), `${c.name} ssim`);
    if (c.ssim_float64 !== undefined) expectClose(ours, c.ssim_float64, { atol: 1e-9 }, `${c.name} ssim in float64`);
  }
  const mean = entry.config.mean as Mean | undefined;
  if (!mean) return;
  const average = (f: (name: string) => number) =>
    mean.names.reduce((sum, name) => sum + f(name), 0) / mean.names.length;
  expectClose(
    average((name) => psnr(...pair(name))[0]!),
    mean.psnr,
    limits(entry, 'psnr'),
    'mean psnr',
  );
  expectClose(
    average((name) => ssim(...pair(name))[0]!),
    mean.ssim,
    limits(entry, 'ssim'),
    'mean ssim',
  );
}

/** Bytes [H, W, 3] to [1, 3, H, W] by the reference's rule: divided by 255 only if the maximum is above 1 (ours divides bytes always). */
function referenceRange(bytes: Tensor): Tensor {
  return tidy(() => {
    const x = bytes.to('f64').permute([2, 0, 1]).unsqueeze(0);
    return x.max().item() > 1 ? x.div(255) : x.contiguous();
  });
}

function ridge(entry: Entry, fixture: Fixture): void {
  type Case = { name: string; lambda: number; standardise: boolean; accuracy: number };
  const train = fixture.get('inputs/train');
  const test = fixture.get('inputs/test');
  const testLabels = fixture.get('inputs/test_labels').toNumbers();
  for (const c of entry.config.cases as Case[]) {
    const probe = fitRidge(train, fixture.get('inputs/train_labels').toNumbers(), {
      lambda: c.lambda,
      standardise: c.standardise,
      classes: entry.config.classes as number,
    });
    expectClose(probe.weight, fixture.get(`outputs/${c.name}/weight`), limits(entry, 'weight'), `${c.name} weight`);
    expectClose(probe.scores(test), fixture.get(`outputs/${c.name}/scores`), limits(entry, 'weight'), c.name);
    expect(probe.predict(test)).toEqual(fixture.get(`outputs/${c.name}/predictions`).toNumbers());
    expect(probe.accuracy(test, testLabels)).toBeCloseTo(c.accuracy, 12);
    probe.dispose();
  }
}

function knn(entry: Entry, fixture: Fixture): void {
  const [train, test] = [fixture.get('inputs/train'), fixture.get('inputs/test')];
  const known = { features: train, labels: fixture.get('inputs/train_labels').toNumbers() };
  const stored = fixture.get('outputs/neighbours');
  const neighbours = nearest(test, train, stored.size(1))
    .flat()
    .map(({ index }) => index);
  expect(neighbours).toEqual(stored.toNumbers());
  for (const { k } of entry.config.cases as { k: number }[]) {
    const majority = classifyByNeighbours(test, known, { k });
    expect(majority, `k ${k}`).toEqual(fixture.get(`outputs/k${k}/majority`).toNumbers());
    const weighted = classifyByNeighbours(test, known, { k, temperature: 0.07 });
    expect(weighted, `k ${k}, weighted`).toEqual(fixture.get(`outputs/k${k}/weighted`).toNumbers());
  }
}

function score(entry: Entry, fixture: Fixture): void {
  type Adm = { split_size: number; value: number; per_split: number[] };
  type Fidelity = { splits: number; inception_score_mean: number; inception_score_std: number };
  const config = entry.config as { adm: Adm; adm_one_split: number } & Record<string, Fidelity>;
  const features = fixture.get('inputs/features');
  const logits = unbiasedLogits(features, fixture.get('inputs/weight'));
  const limits = entry.tolerance as Limits;
  const adm = inceptionScore(logits, { splitSize: config.adm.split_size });
  expectClose(adm.mean, config.adm.value, limits, 'ADM');
  for (const [i, value] of config.adm.per_split.entries()) expectClose(adm.perSplit[i]!, value, limits, `split ${i}`);
  expectClose(inceptionScore(logits).mean, config.adm_one_split, limits, 'one split');
  for (const [name, shuffle] of [
    ['torch_fidelity_no_shuffle', {}],
    ['torch_fidelity_shuffled', { shuffle: 2020 }],
  ] as const) {
    const ours = inceptionScore(logits, { splits: config[name]!.splits, ...shuffle });
    expectClose(ours.mean, config[name]!.inception_score_mean, limits, name);
    expectClose(ours.std, config[name]!.inception_score_std, limits, `${name} std`);
  }
}

function balls(entry: Entry, fixture: Fixture): void {
  type Counts = { precision: number; recall: number; precision_count: number; recall_count: number };
  type Case = { name: string; k: number; exact: Counts; adm_fp16: Counts; density: number; coverage: number };
  for (const c of entry.config.cases as Case[]) {
    const [reference, samples] = [fixture.get(`${c.name}/inputs/reference`), fixture.get(`${c.name}/inputs/samples`)];
    const ours = precisionRecall(reference, samples, { k: c.k });
    expect(ours.precision, c.name).toBeCloseTo(c.exact.precision, 12);
    expect(ours.recall, c.name).toBeCloseTo(c.exact.recall, 12);
    expect(ours.density, c.name).toBeCloseTo(c.density, 12);
    expect(ours.coverage, c.name).toBeCloseTo(c.coverage, 12);
    for (const [name, x] of [
      ['reference', reference],
      ['samples', samples],
    ] as const) {
      const stored = fixture.get(`${c.name}/outputs/radii_${name}`).toNumbers();
      const radii = neighbourDistances(x, c.k);
      // The fixture may hold the radius or its square.
      for (const [i, radius] of radii.entries())
        expectClose(radius, stored[i]!, { rtol: 1e-9 }, `${c.name} radius ${i}`);
    }
    const half = precisionRecall(reference, samples, { k: c.k, half: true });
    expect(Math.abs(half.precision * samples.size(0) - c.adm_fp16.precision_count), c.name).toBeLessThanOrEqual(2);
    expect(Math.abs(half.recall * reference.size(0) - c.adm_fp16.recall_count), c.name).toBeLessThanOrEqual(2);
    const first = squaredDistances(reference, samples, true).slice(0, 0, 8).slice(1, 0, 8);
    expectClose(first, fixture.get(`${c.name}/outputs/distance_fp16_first8`), { exact: true }, `${c.name} fp16`);
  }
}

function kernel(entry: Entry, fixture: Fixture): void {
  const [x, y] = [fixture.get('inputs/features1'), fixture.get('inputs/features2')];
  const config = entry.config as Record<string, number>;
  const limits = entry.tolerance as Limits;
  expectClose(kernelDistance(x, y), config.unbiased_full!, limits, 'unbiased');
  expectClose(kernelDistance(x, y, { unbiased: false }), config.biased_full!, limits, 'biased');
  const part = (t: Tensor, i: number) => t.indexSelect(0, fixture.get(`inputs/subset${i}`));
  expectClose(kernelDistance(part(x, 1), part(y, 2)), config.unbiased_subset!, limits, 'subset');
}

runArea('metrics', {
  'fid-moments': fidMoments,
  'fid-features': fidFeatures,
  'inception-score': score,
  'precision-recall': balls,
  kid: kernel,
  'psnr-ssim': psnrSsim,
  'linear-probe': ridge,
  knn,
  ...inceptionKinds,
});
