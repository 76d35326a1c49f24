// From a resolved configuration to a running stage: opens the pictures, loads what the stage builds on, adopts it into the run
// directory, and trains. The verb itself is train.ts; the loops are in src/train.

import { existsSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type RunConfig, type RunConfigInput, resolveConfig } from '../config/index.ts';
import { buildRae, stage2Of } from '../inference/build.ts';
import { encoderHints } from '../inference/load-model.ts';
import { withLpipsTensors } from '../inference/lpips-tensors.ts';
import { encoderPath } from '../inference/model-folder.ts';
import { withWeights } from '../inference/tensors.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import type { Lpips } from '../losses/lpips.ts';
import { lpipsFromWeights } from '../losses/lpips-weights.ts';
import type { Encoder } from '../models/encoders/index.ts';
import type { Rae } from '../models/rae.ts';
import { createStage2 } from '../models/stage2.ts';
import { Generator } from '../tensor/index.ts';
import type { Trunk } from '../train/adversary.ts';
import { checkReadable } from '../train/before.ts';
import { trainDit } from '../train/dit.ts';
import { trainEncoder } from '../train/encoder.ts';
import { trainRae } from '../train/rae.ts';
import { claimRun } from '../train/session.ts';
import { openLoader, openPictures, type Pictures } from '../train/sources.ts';
import { ConfigError, RaeError } from '../util/errors.ts';
import { count } from '../util/format.ts';
import { log } from '../util/log.ts';
import { makeFolder } from '../util/storage.ts';
import { loadDecoderState, loadEncoder, loadTrunk, resolveWeights, saveEncoder } from '../weights/index.ts';
import { hintFor } from '../weights/resolve.ts';
import { openDitData } from './dit-data.ts';
import type { TrainOptions } from './train.ts';
import { checkBefore, keepAsItIs } from './train-checks.ts';

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
  const pictures = config.data.latents === undefined ? await openPictures(config) : undefined;
  if (pictures) {
    checkBefore(config, options, pictures.train);
    await checkReadable(pictures.train, pictures.heldOut);
  }
  const refused = keepAsItIs(options.out);
  const isNew = !existsSync(options.out);
  const release = claimRun(options.out, { resume: options.resume ?? false }); // what follows writes into the run's folder
  try {
    if (name === 'dit') return await runDit(config, options, pictures);
    return await { encoder: runEncoder, rae: runRae }[name](config, options, pictures!); // only stage 2 takes latents
  } catch (error) {
    refused();
    throw error;
  } finally {
    release();
    if (isNew && readdirSync(options.out).length === 0) rmdirSync(options.out);
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
  const start = options.resume ? undefined : decoderStart(config);
  const encoder = adoptEncoder(config, options);
  const generator = new Generator(config.training.global_seed);
  const rae = buildRae(config, { encoder, generator });
  if (start !== undefined) startDecoder(rae, start);
  const lpips = adoptLpips(config, options);
  log.info(
    `${count(rae.decoder.numParameters())} parameters in the decoder, ${count(train.size)} pictures${lpips ? '' : ', L1 alone (no --lpips weights)'}`,
  );
  const trunk = adoptTrunk(config, options, encoder);
  await trainRae({ ...frame(options), config, rae, lpips, trunk, heldOut, loader: openLoader(config, train) });
  return { run: out, next: `rae train dit --rae ${out} --data ${config.data.path ?? 'PICTURES'} --out RUN` };
}

async function runDit(asked: RunConfig, options: TrainOptions, pictures: Pictures | undefined): Promise<Trained> {
  const { out } = options;
  const data = await openDitData(asked, options, pictures);
  const { rae, classes, batches, train, heldOut } = data;
  try {
    const number = asked.misc.num_classes === 0 ? 0 : classes.length;
    const config = options.resume ? asked : fitted(asked, rae, number);
    const model = createStage2(stage2Of(config), { generator: new Generator(config.training.global_seed) });
    log.info(
      `${count(model.numParameters())} parameters, latents [${rae.latentShape.join(', ')}], ${count(train.size)} pictures of ${classes.length} classes`,
    );
    await trainDit({ ...frame(options), config, rae, model, batches, train, heldOut });
  } finally {
    data.close();
  }
  return { run: out, next: `rae sample --model ${out} --labels all --out samples.png` };
}

function frame({ out, resume = false, steps, seconds }: TrainOptions) {
  return { out, resume, claimed: true, stopAt: steps, maxSeconds: seconds, log };
}

/** The encoder of the run: loaded from where the configuration says, then kept in the run's folder. */
function adoptEncoder(config: RunConfig, { out, resume }: TrainOptions): Encoder {
  const own = join(out, 'encoder.safetensors');
  const keep = resume && existsSync(own);
  const { encoder_config_path } = config.stage_1.params;
  const encoder = loadEncoder(keep ? own : encoderPath(encoder_config_path), encoderHints(config));
  if (!keep) {
    makeFolder(out);
    saveEncoder(own, encoder.vit, encoder.spec);
  }
  return encoder;
}

interface Start {
  /** The key that names it. */
  key: string;
  file: string;
}

/** The weights that the decoder starts from, as in the reference, if the configuration names some. ConfigError when they are not there. */
function decoderStart({ stage_1: { ckpt, params } }: RunConfig): Start | undefined {
  const [key, name] = ckpt
    ? ['stage_1.ckpt', ckpt]
    : ['stage_1.params.pretrained_decoder_path', params.pretrained_decoder_path];
  if (!name) return undefined;
  const file = resolveWeights(name, key);
  if (existsSync(file) && statSync(file).isFile()) return { key, file };
  const received = existsSync(file) ? `the folder '${name}'` : `'${name}', which is not there`;
  throw new ConfigError(
    `${key}: expected a file with a decoder's weights, received ${received}. ${hintFor(name)}`.trim(),
  );
}

/** Gives the decoder the weights of a file (a decoder alone, a whole RAE, a training checkpoint: its average). Every one must fit. */
function startDecoder(rae: Rae, { key, file }: Start): void {
  try {
    withWeights(file, {}, (state) => loadDecoderState(rae.decoder, state));
  } catch (error) {
    if (error instanceof RaeError) throw new ConfigError(`${key}: '${file}': ${error.message}`, { cause: error });
    throw error;
  }
  log.info(`the decoder starts from ${file}`);
}

function adoptLpips({ losses }: RunConfig, options: TrainOptions): Lpips | undefined {
  const own = join(options.out, 'lpips.safetensors');
  const from = options.resume && existsSync(own) ? own : losses.lpips_file;
  if ((losses.lpips === 0 && losses.gram === 0) || from === undefined) return undefined;
  return withLpipsTensors(from, (weights) => {
    const lpips = lpipsFromWeights(weights);
    if (from !== own) saveSafetensors(own, weights);
    return lpips;
  });
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

/** The configuration with what only the RAE and the pictures know: the latent's size and the number of classes (0: unconditional). */
function fitted(config: RunConfig, rae: Rae, classes: number): RunConfig {
  const [C, h] = rae.latentShape as [number, number, number];
  const { stage_1, stage_2, misc, ...rest } = config;
  const model = stage2Of(config);
  const input = {
    ...rest,
    stage_1,
    stage_2: { ...model, params: { ...model.params, in_channels: C, input_size: h, num_classes: classes } },
    misc: { time_dist_shift_base: misc.time_dist_shift_base, num_classes: classes },
  } as RunConfigInput;
  return resolveConfig(input, { name: 'configuration fitted to the RAE' });
}
