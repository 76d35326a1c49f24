// From samples and a reference to the figures asked for: which passes they need, the passes, the figures, and what is doubtful about them.

import type { FeatureStatistics } from '../metrics/frechet.ts';
import { dispose, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { pairWarnings, pictureWarnings, rankWarnings } from './checks.ts';
import type { Extractor } from './extractor.ts';
import type { ExtractorFile } from './load-extractor.ts';
import { needs } from './metric-names.ts';
import { gather, momentsOfPass } from './moments.ts';
import { openSet } from './open-set.ts';
import { type PairName, pairNames } from './pair-figures.ts';
import { type Job, type PassOptions, runPass } from './pass.ts';
import type { PassResult } from './pass-result.ts';
import type { PictureSet, SetSpec, StoredSpec } from './picture-set.ts';
import { checkReference, type ReferenceFile } from './reference.ts';
import * as scores from './scores.ts';

export interface EvaluationOptions {
  metrics: readonly string[];
  /** The set to judge: compared with the reference as a set. */
  samples?: SetSpec | undefined;
  /** Pictures with their originals: for rfid, psnr, ssim and lpips. */
  pairs?: SetSpec | undefined;
  reference?: StoredSpec | undefined;
  /** Moments in place of a reference's pictures. */
  moments?: ReferenceFile | undefined;
  /** Labelled pictures that probe and knn learn from. */
  train?: StoredSpec | undefined;
  extractor?: (Extractor & ExtractorFile) | undefined;
  /** What names the extractor, for worker processes. */
  extractorPath?: string | undefined;
  layer?: string | undefined;
  lpips?: string | undefined;
  k: number;
  half: boolean;
  infinity: boolean;
  resampling?: scores.Resampling | undefined;
  force: boolean;
  cache: string;
  workers: number;
  portion?: number | undefined;
  onProgress?: ((what: string, done: number, of: number) => void) | undefined;
}

export interface SetReport {
  /** Pictures that went into the figures. */
  count: number;
  unreadable: readonly { index: number; message: string }[];
  size: readonly [height: number, width: number];
  /** SHA-256 of all pixels. */
  digest: string;
  [detail: string]: unknown;
}

export interface Evaluation {
  scores: scores.Score[];
  warnings: string[];
  samples?: SetReport;
  pairs?: SetReport;
  reference?: SetReport;
  train?: SetReport;
}

/** Computes everything. Partial results stay on disk when it stops on the way, and are taken up when it is asked again. */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { metrics, extractor, moments, resampling, k, half } = options;
  const wants = (need: keyof typeof needs) => metrics.some((metric) => needs[need].includes(metric));
  const layer = options.layer ?? extractor?.pooled ?? '';
  if (extractor && !Object.hasOwn(extractor.layers, layer)) {
    throw new ConfigError(expected('--layer', `one of ${Object.keys(extractor.layers).join(', ')}`, layer));
  }
  const warnings = moments && extractor ? checkReference(moments, extractor, layer, options) : [];
  const passes = new Map<string, PassResult>(); // by their jobs
  const sets: PictureSet[] = [];
  let complete = false;

  /** One pass, its set opened and kept until the end. */
  const pass = async (role: string, spec: SetSpec, layers: string[], pairs: PairName[] = []): Promise<PassResult> => {
    const job: Job = {
      set: spec,
      extractor: layers.length > 0 ? options.extractorPath : undefined,
      layers,
      pairs,
      lpips: pairs.includes('lpips') ? options.lpips : undefined,
      portion: options.portion,
    };
    const key = JSON.stringify(job);
    const earlier = passes.get(key); // a set that is its own reference
    if (earlier) return earlier;
    const set = await openSet(spec, job);
    sets.push(set);
    const how: PassOptions = {
      cache: options.cache,
      set,
      extractor: layers.length > 0 ? extractor : undefined,
      workers: options.workers,
      onProgress: (done, of) => options.onProgress?.(role, done, of),
    };
    const result = await runPass(job, how);
    passes.set(key, result);
    warnings.push(...pictureWarnings(role, result));
    return result;
  };

  const found: scores.Score[] = [];
  const out: Evaluation = { scores: found, warnings };
  try {
    // ── passes ──────────────────────────────────────────
    const spatial = metrics.includes('sfid') ? [extractor!.spatial!] : [];
    const logits = metrics.includes('is') ? [extractor!.pooled] : [];
    const layers = [...new Set([...(wants('features') ? [layer] : []), ...spatial, ...logits])];
    const referenceLayers = moments
      ? wants('referencePictures')
        ? [layer]
        : []
      : [...(wants('features') || metrics.includes('rfid') ? [layer] : []), ...spatial];
    const needsReference = options.reference !== undefined && referenceLayers.length > 0;
    const reference = needsReference ? await pass('reference', options.reference!, referenceLayers) : undefined;
    const samples = wants('samples') ? await pass('samples', options.samples!, layers) : undefined;
    const figures = pairNames.filter((name) => metrics.includes(name));
    const pairs = wants('pairs')
      ? await pass('pairs', options.pairs!, metrics.includes('rfid') ? [layer] : [], figures)
      : undefined;
    const train = wants('classes') ? await pass('train', options.train!, [layer]) : undefined;
    if (samples && reference) warnings.push(...pairWarnings(samples, reference));
    if (pairs && pairs.digest === pairs.originals)
      warnings.push('the pictures are their originals: every pixel is equal.');

    // ── figures ─────────────────────────────────────────
    const frechet = async (
      metric: string,
      name: string,
      of: PassResult,
      on: string,
      given: FeatureStatistics | undefined,
    ) => {
      const width = extractor!.layers[on]!;
      const a = await momentsOfPass(of, on, width);
      const count = given === undefined ? reference!.count : on === layer ? moments?.info?.count : undefined;
      const b = given ? { ...given, count } : await momentsOfPass(reference!, on, width);
      const features = resampling || options.infinity ? of.matrix(on) : undefined;
      found.push(scores.frechetScore({ metric, name }, a, b, { features, resampling }));
      if (features && options.infinity && metric === 'fid') found.push(scores.frechetInfinity(name, features, b));
      warnings.push(...rankWarnings(name, metric === 'rfid' ? 'reconstructions' : 'samples', a.count, width));
      if (b.count !== undefined) warnings.push(...rankWarnings(name, 'reference', b.count, width));
      dispose([a, features]);
      if (!given) dispose(b);
    };
    const title = extractor ? titleOf(extractor, layer) : '';
    if (metrics.includes('fid')) await frechet('fid', title, samples!, layer, moments?.moments);
    if (metrics.includes('sfid')) {
      const given = moments && (moments.spatial ?? missing('sfid', 'mu_s and sigma_s in the reference'));
      await frechet('sfid', `s${extractor!.distance}`, samples!, extractor!.spatial!, given);
    }
    if (metrics.includes('is')) {
      const classes = classScores(extractor!, samples!);
      found.push(...scores.inceptionScores(classes, resampling));
      classes.dispose();
    }
    if (wants('referenceFeatures')) {
      const [a, b] = [samples!.matrix(layer), reference!.matrix(layer)];
      if (metrics.includes('kid')) {
        const name = extractor!.distance === 'FID' ? 'KID' : `KD-${extractor!.name}`;
        found.push(scores.kernelScore(a, b, name, resampling));
      }
      if (wants('balls')) found.push(...scores.ballScores(b, a, { k, half, wanted: metrics, resampling }));
      dispose([a, b]);
    }
    if (metrics.includes('rfid')) await frechet('rfid', `r${title}`, pairs!, layer, moments?.moments);
    for (const name of figures) found.push(scores.meanScore(name, pairs!.figures(name), resampling));
    if (metrics.includes('rank')) {
      const a = await gather(reference!.features(layer));
      found.push(scores.rankScore(a));
      dispose(a);
    }
    if (train) found.push(...classes(train, reference!, layer, metrics));

    const report = (result: PassResult): SetReport => ({
      ...result.set.details,
      count: result.count,
      unreadable: result.unreadable,
      size: [result.set.height, result.set.width],
      digest: result.digest,
    });
    for (const [role, result] of Object.entries({ samples, pairs, reference, train })) {
      if (result) out[role as 'samples'] = report(result);
    }
    complete = true;
    return out;
  } finally {
    for (const result of passes.values()) complete ? result.dispose() : result.leave();
    for (const set of sets) set.close();
  }
}

/** FID of another layer than its own is not FID. */
export function titleOf(extractor: Extractor, layer: string): string {
  return layer === extractor.pooled ? extractor.distance : `${extractor.distance} (${layer})`;
}

/** Logits without bias of every sample, made of its pooled features. */
function classScores(extractor: Extractor, samples: PassResult): Tensor {
  const features = samples.matrix(extractor.pooled);
  return tidy(() => {
    const logits = extractor.logits!(features, { bias: false });
    features.dispose();
    return logits;
  });
}

function classes(train: PassResult, test: PassResult, layer: string, wanted: readonly string[]): scores.Score[] {
  const [trainClasses, testClasses] = [train.set.classes ?? [], test.set.classes ?? []];
  if (trainClasses.length < 2 || testClasses.length < 2) {
    missing('probe and knn', 'pictures in one sub-folder per class, both in --train and in --reference');
  }
  const labels = test.labels!.map((label) => trainClasses.indexOf(testClasses[label]!));
  const unknown = labels.indexOf(-1);
  if (unknown >= 0) missing('probe and knn', `the class '${testClasses[test.labels![unknown]!]}' in --train too`);
  const [a, b] = [train.matrix(layer), test.matrix(layer)];
  const found = scores.classScores({ features: a, labels: train.labels! }, { features: b, labels }, wanted);
  dispose([a, b]);
  return found;
}

function missing(metric: string, what: string): never {
  throw new ConfigError(`--metrics: ${metric}: expected ${what}, received none.`);
}
