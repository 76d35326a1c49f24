// What the options of rae eval name: sets of pictures, a model, a reference, the extractor, and which metrics that allows.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isPictureSet } from '../data/index.ts';
import type { Extractor } from '../evaluation/extractor.ts';
import { sideOfFiles } from '../evaluation/files-set.ts';
import { type ExtractorFile, loadExtractor } from '../evaluation/load-extractor.ts';
import { metricNames, needs } from '../evaluation/metric-names.ts';
import { openArchive } from '../evaluation/npz-set.ts';
import type { SampledSpec, SetSpec, StoredSpec } from '../evaluation/picture-set.ts';
import { isReferenceFile, loadReference, type ReferenceFile } from '../evaluation/reference.ts';
import { parseLabels } from '../inference/labels.ts';
import { type LoadedGenerator, loadModel } from '../inference/load-model.ts';
import { hasConfig, modelParts } from '../inference/model-folder.ts';
import { npzKeys } from '../io/npz-stream.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { type EvalOptions, parseMetrics, type ReadingOptions } from './eval-options.ts';
import { guidanceFrom, samplerFrom } from './sampling-options.ts';
import { scriptsModule } from './scripts.ts';

export interface Inputs {
  metrics: string[];
  samples?: SetSpec;
  pairs?: SetSpec;
  reference?: StoredSpec;
  moments?: ReferenceFile;
  train?: StoredSpec;
  extractor?: Extractor & ExtractorFile;
  extractorPath?: string;
}

/** Samples of a model where --num does not say. */
const NUM = 1000;

/** Everything that the options name. ConfigError when something is missing or does not exist. */
export async function inputsOf(options: EvalOptions): Promise<Inputs> {
  const { samples, reference } = options;
  const model = options.model ?? (samples !== undefined && hasConfig(samples) ? samples : undefined);
  if (samples === undefined && model === undefined && !/^(probe|knn|rank|,)+$/.test(options.metrics ?? '')) {
    throw new ConfigError(
      '--samples, --model: expected pictures to judge or a model that makes them, received neither.',
    );
  }
  if (options.model !== undefined && samples !== undefined) {
    throw new ConfigError('--samples, --model: expected one of them, received both.');
  }
  const stored = model === undefined ? samples : undefined;
  const made = model === undefined ? undefined : modelOf(model, options);
  const moments = reference !== undefined && isReferenceFile(reference) ? loadReference(reference) : undefined;
  const side = options.size ?? made?.side ?? (await sideOf(stored, options)) ?? (await sideOf(reference, options));
  const at = (flag: string, path: string, num?: number) => storedSpec(flag, path, { ...options, side, num });
  const referencePictures = reference !== undefined && (!moments || moments.hasPictures);
  const extractorPath = options.extractor ?? (model === undefined ? undefined : (modelParts(model).folder ?? model)); // its own encoder at its own size
  const extractor = extractorPath === undefined ? undefined : loadExtractor(extractorPath);
  if (options.extractor === undefined && extractor)
    log.info(`no --extractor: the model's own encoder, ${extractor.name}`);
  const given = {
    ...(stored !== undefined && { samples: await at('--samples', stored) }),
    ...(made?.samples && { samples: made.samples }),
    ...(referencePictures && {
      reference: await at(
        '--reference',
        reference,
        options.referenceNum ?? (reference === 'embedded' ? (options.num ?? NUM) : undefined),
      ),
    }),
    ...(moments && { moments }),
    ...(options.train !== undefined && { train: await at('--train', options.train) }),
    ...(extractor && { extractor, extractorPath: extractorPath! }),
  };
  const pairs = pairsOf(given, made, model, options);
  const inputs = { ...given, ...(pairs && { pairs }) };
  return { ...inputs, metrics: chooseMetrics(options, inputs) };
}

/** A model's side, and its samples where it has a generator. */
function modelOf(path: string, options: EvalOptions): { side: number; samples?: SampledSpec } {
  const isGenerator = modelParts(path).config.stage_2 !== undefined;
  const loaded = loadModel(path, { ...options, need: isGenerator ? 'generator' : 'rae' });
  try {
    if (!isGenerator) return { side: loaded.side };
    const model = loaded as LoadedGenerator;
    const { choice } = guidanceFrom(model, { ...options, model: path });
    const { seed, weights, raw, guide, precision = 'fp32', num = NUM } = options;
    const labels = options.labels === undefined ? 'equal' : parseLabels(options.labels, model.config, model.classes);
    const sampler = samplerFrom(model.config, options);
    const common = { kind: 'samples', model: path, weights, raw, num, seed, labels, sampler } as const;
    return { side: model.side, samples: { ...common, guidance: choice, guide, precision } };
  } finally {
    loaded.rae.dispose(); // whoever makes the pictures loads it again
    if ('generator' in loaded) (loaded as LoadedGenerator).generator.dispose();
  }
}

function pairsOf(
  { samples, reference }: Pick<Inputs, 'samples' | 'reference'>,
  made: { side: number } | undefined,
  model: string | undefined,
  { weights, raw, precision = 'fp32' }: EvalOptions,
): SetSpec | undefined {
  if (!reference) return undefined;
  if (made) {
    const isRae = modelParts(model!).config.stage_2 === undefined; // else --weights and --raw are about the generator
    const own = isRae ? { weights, raw } : {};
    return { kind: 'reconstructions', model: model!, ...own, precision, of: reference };
  }
  return samples && { kind: 'pairs', pictures: samples as StoredSpec, originals: reference };
}

/** Pictures of files or of an npz. ConfigError for what does not exist. */
export async function storedSpec(
  flag: string,
  path: string,
  { side, exif, num }: { side: number | undefined; exif: boolean; num?: number | undefined },
): Promise<StoredSpec> {
  if (path !== 'embedded' && !existsSync(path) && !isPictureSet(path) && !/[*{]/.test(path)) {
    throw new ConfigError(expected(flag, 'existing pictures: a folder, an archive, or an npz', path));
  }
  if (isNpz(path)) return { kind: 'npz', path };
  if (side === undefined)
    throw new ConfigError(`--size: expected the side of the pictures of '${path}', received none.`);
  return { kind: 'files', path, side, exif, ...(num !== undefined && { num }) };
}

/** The side of stored pictures; undefined for what has none of its own. */
export async function sideOf(
  path: string | undefined,
  { exif }: Pick<ReadingOptions, 'exif'>,
): Promise<number | undefined> {
  if (path === undefined || path === 'embedded' || (!existsSync(path) && !/[*{]/.test(path))) return undefined;
  if (!isNpz(path)) return sideOfFiles(path, { exif });
  if (!npzKeys(path).some((key) => key === 'arr_0' || key === 'images')) return undefined;
  const set = await openArchive({ kind: 'npz', path });
  set.close();
  return set.height === set.width ? set.height : undefined;
}

function isNpz(path: string): boolean {
  return /\.np[zy]$/i.test(path);
}

/** The metrics asked for, each with what it needs; without --metrics those that the inputs allow. */
function chooseMetrics({ metrics, lpips }: EvalOptions, inputs: Omit<Inputs, 'metrics'>): string[] {
  const { samples, pairs, reference, moments, extractor, train } = inputs;
  const lacks = (metric: string): string | undefined => {
    const is = (need: keyof typeof needs) => needs[need].includes(metric);
    if (is('samples') && !samples) return 'samples: --samples, or a --model with a generator';
    if (is('extractor') && !extractor) return "an --extractor, such as Inception's weights, an encoder or 'embedded'";
    if (is('inception') && extractor?.logits === undefined) return 'Inception as --extractor';
    if (is('reference') && !reference && !moments) return 'a --reference';
    if (is('referencePictures') && !reference) return 'a --reference with pictures (arr_0), not moments alone';
    if (is('pairs') && !pairs)
      return 'pictures beside their originals: a --model, or --samples as many as the --reference';
    if (is('classes') && !train) return 'labelled pictures to learn from: --train';
    return undefined;
  };
  if (metrics !== undefined) {
    const wanted = [...new Set(parseMetrics(metrics))];
    for (const metric of wanted) {
      const lack = lacks(metric);
      if (lack !== undefined) throw new ConfigError(`--metrics: ${metric}: expected ${lack}, received none.`);
    }
    return wanted;
  }
  const reconstructs = pairs?.kind === 'reconstructions' && !samples;
  const usual = metricNames.filter((metric) => {
    if (needs.pairs.includes(metric)) return reconstructs && (metric !== 'lpips' || lpips !== undefined);
    return metric !== 'rank' && !(metric === 'sfid' && moments && !moments.spatial);
  });
  const possible = usual.filter((metric) => lacks(metric) === undefined);
  if (possible.length > 0) return possible;
  throw new ConfigError(`--metrics: fid: expected ${lacks('fid') ?? lacks('rfid')}, received none.`);
}

/** Where unfinished work is kept. */
export async function partialFolder({ partial }: ReadingOptions): Promise<string> {
  if (partial !== undefined) return partial;
  return join((await scriptsModule('paths')).cacheFolder(), 'eval');
}
