// What stage 2 trains on: pictures, which a frozen encoder turns into latents as it goes, or a cache of latents, for which only the
// encoder's sizes are needed. Everything that does not fit the RAE is refused before anything is trained.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { formatConfig, loadConfig, type RunConfig } from '../config/index.ts';
import { LatentCache, type PictureSource, STATISTICS, statisticsDigest } from '../data/index.ts';
import { loadRae, loadStatistics } from '../inference/build.ts';
import { modelParts } from '../inference/model-folder.ts';
import { decoderTokens, keepDecoder, keepStatistics, withStatistics } from '../inference/parts-tensors.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import type { Rae } from '../models/rae.ts';
import { dispose } from '../tensor/index.ts';
import { latentStatistics } from '../train/latent-statistics.ts';
import {
  cachedBatches,
  cachedSet,
  encodedBatches,
  encodedSet,
  type LatentBatches,
  type LatentSet,
} from '../train/latents.ts';
import { labelledAs, labelsAmong, openLoader, openPictures, type Pictures, splitIndices } from '../train/sources.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { sha256OfFile } from '../util/digest.ts';
import { ConfigError } from '../util/errors.ts';
import { count } from '../util/format.ts';
import { readJsonTexts } from '../util/json.ts';
import { log } from '../util/log.ts';
import { makeFolder } from '../util/storage.ts';
import { encoderOutline, loadEncoder, resolveWeights, saveEncoder } from '../weights/index.ts';
import { adopt, type TrainOptions } from './train.ts';
import { checkBefore } from './train-checks.ts';

export interface DitData {
  /** With its statistics; from a cache its encoder has no weights. */
  rae: Rae;
  classes: readonly string[];
  batches: LatentBatches;
  /** Of training, neither shuffled nor mirrored. */
  train: LatentSet;
  heldOut: LatentSet;
  /** Frees what is mapped. */
  close(): void;
}

/** Opens the data of a stage-2 run and copies what it builds on into its folder. */
export async function openDitData(config: RunConfig, options: TrainOptions, pictures?: Pictures): Promise<DitData> {
  return pictures === undefined ? fromCache(config, options) : fromPictures(config, options, pictures);
}

async function fromPictures(config: RunConfig, options: TrainOptions, { train, heldOut }: Pictures): Promise<DitData> {
  const classes = adoptClasses(train, options);
  const judged = labelledAs(classes, heldOut);
  const source = adoptRae(config, options);
  const encoder = loadEncoder(join(options.out, 'encoder.safetensors'));
  const rae = loadRae(source.config, { encoder, decoder: source.decoder });
  const given = config.stage_1.params.normalization_stat_path ?? source.stats;
  await adoptStatistics(rae, given, () => plainPictures(config, train), options);
  const plain = await plainPictures(config, train);
  return {
    rae,
    classes,
    batches: encodedBatches(rae, openLoader(config, train)),
    train: encodedSet(rae, plain),
    heldOut: encodedSet(rae, judged),
    close: () => {},
  };
}

async function fromCache(config: RunConfig, options: TrainOptions): Promise<DitData> {
  const { latents, eval_latents, flip } = config.data;
  const { out, resume = false } = options;
  const cache = LatentCache.open(latents!, { verify: !resume });
  const judged = eval_latents === undefined ? undefined : LatentCache.open(eval_latents, { flag: '--eval-latents' });
  const close = () => {
    cache.dispose();
    judged?.dispose();
  };
  try {
    if (flip && !cache.manifest.flips) {
      throw new ConfigError(
        `--latents: expected mirrored latents (data.flip is on), received '${latents}' without. Encode with --flips, or --set data.flip=false.`,
      );
    }
    const all = Array.from({ length: cache.size }, (_, i) => i);
    const { held, rest } = judged ? { held: [], rest: all } : splitIndices(cache.size);
    const trained = { cache, indices: rest.length > 0 ? rest : all };
    checkBefore(config, options, { size: trained.indices.length, classes: cache.classes });
    const classes = adoptClasses({ name: latents!, classes: cache.classes }, options);
    const source = adoptRae(config, options);
    const encoder = encoderOutline(join(out, 'encoder.safetensors'));
    const rae = loadRae(source.config, { encoder, decoder: source.decoder });
    const checksum = sha256OfFile(join(out, 'encoder.safetensors'));
    checkOrigin('--latents', cache, rae, checksum, config.data.image_size);
    if (judged) checkOrigin('--eval-latents', judged, rae, checksum, config.data.image_size);
    adoptCachedStatistics(
      cache,
      rae,
      resume ? undefined : (config.stage_1.params.normalization_stat_path ?? source.stats),
      options,
    );

    const { global_batch_size: batch, global_seed: seed } = config.training;
    const heldOut = judged
      ? cachedSet(
          rae,
          { cache: judged, indices: Array.from({ length: judged.size }, (_, i) => i) },
          labelsAmong(classes, judged.classes, 'data.eval_latents'),
        )
      : cachedSet(rae, { cache, indices: held });
    log.info(
      `${count(cache.present)} cached latents of ${latents}${cache.manifest.flips ? ', mirrored ones too' : ''}`,
    );
    return {
      rae,
      classes,
      batches: cachedBatches(rae, trained, { batch, seed, flip }),
      train: cachedSet(rae, trained),
      heldOut,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Refuses latents that another encoder, or this one at another size, has made. */
function checkOrigin(
  flag: string,
  { folder, manifest }: LatentCache,
  rae: Rae,
  encoder: string,
  imageSize: number,
): void {
  const { origin, shape } = manifest;
  const next = 'Encode the pictures anew with `rae encode --cache`.';
  if (origin.encoder !== encoder) {
    const [wanted, found] = [encoder, origin.encoder].map((digest) => digest.slice(0, 12));
    throw new ConfigError(
      `${flag}: expected latents of the RAE's encoder (checksum ${wanted}), received '${folder}' of another (${found}). ${next}`,
    );
  }
  const sizes: [string, unknown, unknown][] = [
    ['an encoder input size of', rae.encoderInputSize, origin.encoder_input_size],
    ['pictures of a side of', imageSize, origin.image_size],
    ['latents', rae.latentShape.join(' x '), shape.join(' x ')],
  ];
  for (const [what, wanted, found] of sizes) {
    if (wanted !== found)
      throw new ConfigError(`${flag}: expected ${what} ${wanted}, received '${folder}' with ${found}. ${next}`);
  }
}

/** The statistics of the cache, which those given (or the run's own, when it goes on) must equal. */
function adoptCachedStatistics(cache: LatentCache, rae: Rae, given: string | undefined, options: TrainOptions): void {
  const own = adopt(join(cache.folder, STATISTICS), options, 'stats.safetensors');
  for (const path of given === undefined ? [own] : [resolveWeights(given, '--stats'), own]) {
    const found = withStatistics(path, statisticsDigest);
    if (found === cache.manifest.statistics) continue;
    throw new ConfigError(
      `--latents: expected the statistics of '${cache.folder}', received others in '${path}'. Leave --stats out, or encode with a model that has them.`,
    );
  }
  loadStatistics(rae, own);
}

/** Names of the classes by label, kept in the run's folder. A resumed run refuses pictures of others, whose labels would mean something else. */
function adoptClasses(
  { name, classes }: Pick<PictureSource, 'name' | 'classes'>,
  { out, resume }: TrainOptions,
): readonly string[] {
  const own = join(out, 'classes.json');
  if (!resume || !existsSync(own)) {
    writeFileAtomic(own, `${JSON.stringify(classes)}\n`);
    return classes;
  }
  const begun = readJsonTexts(own);
  const same = begun.length === classes.length && (begun.length === 1 || begun.every((c, i) => c === classes[i]));
  if (same) return begun;
  const show = (names: readonly string[]) => names.slice(0, 10).join(', ');
  throw new ConfigError(
    `data.path: expected pictures of the ${begun.length} classes that the run was begun with (${show(begun)}), received ${name} with ${show(classes)}.`,
  );
}

interface AdoptedRae {
  config: RunConfig;
  decoder: string;
  /** Statistics that came with the RAE. */
  stats: string | undefined;
}

/** Encoder and decoder of the RAE that stage 2 builds on, copied into the run's folder when the run begins. */
function adoptRae(asked: RunConfig, options: TrainOptions): AdoptedRae {
  const { out, rae, resume } = options;
  let shipped: string | undefined;
  if (!resume) {
    if (rae === undefined)
      throw new ConfigError(expected('--rae', "a trained RAE (a run of `rae train rae`, or 'embedded')", 'none'));
    const parts = modelParts(rae, { flag: '--rae' });
    if (parts.decoder === undefined)
      throw new ConfigError(
        expected('--rae', 'a run with a trained decoder', `'${rae}' without one`, 'Train it with `rae train rae`.'),
      );
    checkImageSize(parts.raeConfig, asked);
    const { vit, spec } = loadEncoder(parts.encoder);
    makeFolder(out);
    saveEncoder(join(out, 'encoder.safetensors'), vit, spec);
    const tokens = decoderTokens(parts, spec.vit.patch);
    vit.dispose();
    keepDecoder(parts.decoder, join(out, 'decoder.safetensors'), { tokens });
    writeFileAtomic(join(out, 'rae.yaml'), formatConfig(parts.raeConfig));
    shipped = parts.stats;
  }
  const config = loadConfig(join(out, 'rae.yaml'));
  checkImageSize(config, asked);
  return { config, decoder: join(out, 'decoder.safetensors'), stats: shipped };
}

function checkImageSize({ data: { image_size } }: RunConfig, asked: RunConfig): void {
  if (image_size === asked.data.image_size) return;
  const what = `${image_size}, what the RAE was trained on`;
  throw new ConfigError(expected('data.image_size', what, asked.data.image_size));
}

/** The training pictures as `rae stats` sees them: centre crops, none mirrored. */
async function plainPictures(config: RunConfig, train: PictureSource): Promise<PictureSource> {
  const { flip, crop } = config.data;
  if (!flip && (crop === 'center' || config.data.synthetic)) return train;
  return (await openPictures({ ...config, data: { ...config.data, flip: false, crop: 'center' } })).train;
}

/** Statistics of the latents: given, shipped with the RAE, or computed exactly from the training pictures. */
async function adoptStatistics(
  rae: Rae,
  given: string | undefined,
  open: () => Promise<PictureSource>,
  options: TrainOptions,
): Promise<void> {
  const own = join(options.out, 'stats.safetensors');
  const kept = (options.resume ?? false) && existsSync(own);
  if (given !== undefined && !kept) {
    keepStatistics(resolveWeights(given, '--stats'), own);
  } else if (!kept) {
    const pictures = await open();
    const { mean, variance } = await latentStatistics(rae, pictures, {
      onProgress: (done, of) => log.live(`statistics of the latents: ${done}/${of} pictures`),
    });
    const tensors = new Map([
      ['mean', mean],
      ['var', variance],
    ]);
    saveSafetensors(own, tensors, { pictures: String(pictures.size) });
    log.done(`statistics of the latents over ${pictures.size} pictures: ${own}`);
    dispose(tensors);
  }
  loadStatistics(rae, own);
}
