// From a resolved configuration to a running stage: opens the pictures, loads what the stage builds on, adopts it into the run
// directory, and trains. The verb itself is train.ts; the loops are in src/train.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatConfig, loadConfig, type RunConfig, type RunConfigInput, resolveConfig } from '../config/index.ts';
import type { PictureSource } from '../data/index.ts';
import { buildRae, loadRae, loadStatistics, stage2Of } from '../inference/build.ts';
import { encoderPath, modelParts } from '../inference/model-folder.ts';
import { decoderTokens, keepDecoder, keepStatistics } from '../inference/parts-tensors.ts';
import { loadSafetensors, saveSafetensors } from '../io/safetensors.ts';
import type { Lpips } from '../losses/lpips.ts';
import { lpipsFromWeights } from '../losses/lpips-weights.ts';
import type { Encoder } from '../models/encoders/index.ts';
import type { Rae } from '../models/rae.ts';
import { createStage2 } from '../models/stage2.ts';
import { dispose, Generator } from '../tensor/index.ts';
import type { Trunk } from '../train/adversary.ts';
import { trainDit } from '../train/dit.ts';
import { trainEncoder } from '../train/encoder.ts';
import { latentStatistics } from '../train/latent-statistics.ts';
import { trainRae } from '../train/rae.ts';
import { claimRun } from '../train/session.ts';
import { labelledAs, openLoader, openPictures, type Pictures } from '../train/sources.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { count } from '../util/format.ts';
import { log } from '../util/log.ts';
import { loadEncoder, loadTrunk, resolveWeights, saveEncoder } from '../weights/index.ts';
import { adopt, type TrainOptions } from './train.ts';

export interface Trained {
  run: string;
  /** The command that comes next. */
  next: string;
}

export async function trainStage(
  name: 'encoder' | 'rae' | 'dit',
  config: RunConfig,
  options: TrainOptions,
): Promise<Trained> {
  const pictures = await openPictures(config);
  const release = claimRun(options.out, { resume: options.resume ?? false }); // what follows writes into the run's folder
  try {
    return await { encoder: runEncoder, rae: runRae, dit: runDit }[name](config, options, pictures);
  } finally {
    release();
  }
}

async function runEncoder(config: RunConfig, options: TrainOptions, { train, heldOut }: Pictures): Promise<Trained> {
  await trainEncoder({ ...frame(options), config, heldOut, loader: openLoader(config, train) });
  return {
    run: options.out,
    next: `rae train rae --encoder ${options.out} --data ${config.data.path ?? 'PICTURES'} --out RUN`,
  };
}

async function runRae(config: RunConfig, options: TrainOptions, { train, heldOut }: Pictures): Promise<Trained> {
  const { out } = options;
  const encoder = adoptEncoder(config, options);
  const generator = new Generator(config.training.global_seed);
  const rae = buildRae(config, { encoder, generator });
  const lpips = adoptLpips(config, options);
  log.info(
    `${count(rae.decoder.numParameters())} parameters in the decoder, ${count(train.size)} pictures${lpips ? '' : ', L1 alone (no --lpips weights)'}`,
  );
  const trunk = adoptTrunk(config, options, encoder);
  await trainRae({ ...frame(options), config, rae, lpips, trunk, heldOut, loader: openLoader(config, train) });
  return { run: out, next: `rae train dit --rae ${out} --data ${config.data.path ?? 'PICTURES'} --out RUN` };
}

async function runDit(asked: RunConfig, options: TrainOptions, { train, heldOut }: Pictures): Promise<Trained> {
  const { out } = options;
  const classes = adoptClasses(train, options);
  const judged = labelledAs(classes, heldOut);
  const source = adoptRae(asked, options);
  const rae = loadRae(source.config, { encoder: source.encoder, decoder: source.decoder });
  const given = asked.stage_1.params.normalization_stat_path ?? source.stats;
  await adoptStatistics(rae, given, () => plainPictures(asked, train), options);
  const config = options.resume ? asked : fitted(asked, rae, train);
  const model = createStage2(stage2Of(config), { generator: new Generator(config.training.global_seed) });
  log.info(
    `${count(model.numParameters())} parameters, latents [${rae.latentShape.join(', ')}], ${count(train.size)} pictures of ${train.classes.length} classes`,
  );
  await trainDit({ ...frame(options), config, rae, model, heldOut: judged, loader: openLoader(config, train) });
  return { run: out, next: `rae sample --model ${out} --labels all --out samples.png` };
}

function frame({ out, resume = false, steps, seconds }: TrainOptions) {
  return { out, resume, claimed: true, stopAt: steps, maxSeconds: seconds, log };
}

/** The encoder of the run: loaded from where the configuration says, then kept in the run's folder. */
function adoptEncoder(config: RunConfig, { out, resume }: TrainOptions): Encoder {
  const own = join(out, 'encoder.safetensors');
  const keep = resume && existsSync(own);
  const { encoder_config_path, encoder_params } = config.stage_1.params;
  const { image_mean: mean, image_std: std, normalize } = encoder_params;
  const encoder = loadEncoder(keep ? own : encoderPath(encoder_config_path), { mean, std, normalize });
  if (!keep) {
    mkdirSync(out, { recursive: true });
    saveEncoder(own, encoder.vit, encoder.spec);
  }
  return encoder;
}

function adoptLpips({ losses }: RunConfig, options: TrainOptions): Lpips | undefined {
  const own = join(options.out, 'lpips.safetensors');
  const from = options.resume && existsSync(own) ? own : losses.lpips_file;
  if ((losses.lpips === 0 && losses.gram === 0) || from === undefined) return undefined;
  const state = loadSafetensors(adopt(resolveWeights(from, '--lpips'), options, 'lpips.safetensors'));
  try {
    return lpipsFromWeights(state);
  } finally {
    dispose(state);
  }
}

/** What the discriminator judges by, kept in the run's folder unless it is the run's own encoder. */
function adoptTrunk({ gan }: RunConfig, { out, resume }: TrainOptions, encoder: Encoder): Trunk | undefined {
  const name = gan?.disc.arch.dino_ckpt_path;
  if (name === undefined) return undefined;
  if (name === 'encoder') return encoder;
  const own = join(out, 'disc.safetensors');
  if (resume && existsSync(own)) return loadTrunk(own);
  const trunk = loadTrunk(encoderPath(name, '--disc'));
  saveEncoder(own, trunk.vit, trunk.spec);
  return trunk;
}

/** Names of the classes by label, kept in the run's folder. A resumed run refuses pictures of others, whose labels would mean something else. */
function adoptClasses({ name, classes }: PictureSource, { out, resume }: TrainOptions): readonly string[] {
  const own = join(out, 'classes.json');
  if (!resume || !existsSync(own)) {
    writeFileAtomic(own, `${JSON.stringify(classes)}\n`);
    return classes;
  }
  const begun = JSON.parse(readFileSync(own, 'utf8')) as string[];
  const same = begun.length === classes.length && (begun.length === 1 || begun.every((c, i) => c === classes[i]));
  if (same) return begun;
  const show = (names: readonly string[]) => names.slice(0, 10).join(', ');
  throw new ConfigError(
    `data.path: expected pictures of the ${begun.length} classes that the run was begun with (${show(begun)}), received ${name} with ${show(classes)}.`,
  );
}

interface AdoptedRae {
  config: RunConfig;
  encoder: Encoder;
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
    const parts = modelParts(rae);
    if (parts.decoder === undefined)
      throw new ConfigError(
        expected('--rae', 'a run with a trained decoder', `'${rae}' without one`, 'Train it with `rae train rae`.'),
      );
    const { vit, spec } = loadEncoder(parts.encoder);
    mkdirSync(out, { recursive: true });
    saveEncoder(join(out, 'encoder.safetensors'), vit, spec);
    const tokens = decoderTokens(parts, spec.vit.patch);
    keepDecoder(parts.decoder, join(out, 'decoder.safetensors'), { tokens });
    writeFileAtomic(join(out, 'rae.yaml'), formatConfig(parts.raeConfig));
    shipped = parts.stats;
  }
  const config = loadConfig(join(out, 'rae.yaml'));
  if (config.data.image_size !== asked.data.image_size) {
    throw new ConfigError(
      expected('data.image_size', `${config.data.image_size}, what the RAE was trained on`, asked.data.image_size),
    );
  }
  return {
    config,
    encoder: loadEncoder(join(out, 'encoder.safetensors')),
    decoder: join(out, 'decoder.safetensors'),
    stats: shipped,
  };
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

/** The configuration with what only the RAE and the pictures know: the latent's size and the number of classes. */
function fitted(config: RunConfig, rae: Rae, train: PictureSource): RunConfig {
  const [C, h] = rae.latentShape as [number, number, number];
  const { stage_1, stage_2, misc, ...rest } = config;
  const model = stage2Of(config);
  const classes = train.classes.length;
  const input = {
    ...rest,
    stage_1,
    stage_2: { ...model, params: { ...model.params, in_channels: C, input_size: h, num_classes: classes } },
    misc: { time_dist_shift_base: misc.time_dist_shift_base, num_classes: classes },
  } as RunConfigInput;
  return resolveConfig(input, { name: 'configuration fitted to the RAE' });
}
