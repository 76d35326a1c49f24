// Where the parts of a model lie. A model is named by
//   a run directory, or a folder with the same files and no checkpoints (assets/ is one):
//     config.yaml  rae.yaml  encoder.safetensors  decoder.safetensors  stats.safetensors  dit.safetensors  classes.json
//   one of a run's checkpoints (RUN/checkpoints/step-0001000, or best), or a file of weights in either;
//   a configuration file whose own paths name the parts, as the reference's do (looked up as they are, then beside it);
//   an AutoencoderRAE folder of diffusers, or its file of weights;
//   `embedded`, the shipped model;
// and each of the paths by a name of the catalogue or of the hub as well, once it is in the cache (weights/resolve.ts).

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, type RunConfig } from '../config/index.ts';
import { latestCheckpoint } from '../runs/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { readJsonObject, readJsonTexts } from '../util/json.ts';
import { DIFFUSERS_WEIGHTS } from '../weights/diffusers.ts';
import { hintsOfFolder } from '../weights/hub-folder.ts';
import { readDecoderConfig } from '../weights/reference.ts';
import { hintFor, resolveWeights } from '../weights/resolve.ts';
import { diffusersParts } from './diffusers-folder.ts';

/** The folder of the shipped model: encoder, decoder, statistics and generator of the embedded set. */
export const EMBEDDED = fileURLToPath(new URL('../../assets/', import.meta.url));

/** What encoder_config_path is where a configuration says nothing. */
const UNNAMED_ENCODER = 'facebook/dinov2-base';

export interface ModelParts {
  /** The folder of the parts; none for a configuration file. */
  folder: string | undefined;
  config: RunConfig;
  /** The configuration of the RAE: what a stage-2 run was built on, else the same. */
  raeConfig: RunConfig;
  /** A file or folder that loadEncoder takes. */
  encoder: string;
  decoder: string | undefined;
  stats: string | undefined;
  dit: string | undefined;
  /** Names of the classes by label, where they are known. */
  classes: string[] | undefined;
  /** The step of the checkpoint that the trained part comes from. */
  step: number | undefined;
}

export interface PartsOptions {
  /** The trained weights instead of their average. */
  raw?: boolean | undefined;
  /** The average at this rate, where a run keeps several. */
  ema?: number | true | undefined;
  /** What named the model, for messages. */
  flag?: string;
}

/** Finds the parts of the model at `path`. ConfigError when nothing there is a model. */
export function modelParts(path: string, { raw = false, ema, flag = '--model' }: PartsOptions = {}): ModelParts {
  const foreign = path === 'embedded' ? undefined : diffusersFolder(resolveWeights(path, flag));
  if (foreign !== undefined) return foreign;
  const { folder, configFile, checkpoint, weights } = locate(path, flag);
  const find = (name: string) => nearby(name, dirname(configFile));
  const near = (name: string | undefined) => name && find(name);
  const config = located(loadConfig(configFile), find, folder === undefined ? flag : undefined);
  const own = (name: string) => (folder && existsSync(join(folder, name)) ? join(folder, name) : undefined);
  const raeFile = own('rae.yaml');
  const raeConfig = raeFile === undefined ? config : located(loadConfig(raeFile), find);
  const trained =
    weights ??
    (checkpoint && join(checkpoint.path, raw ? 'model.safetensors' : averageFile(config, ema, checkpoint.path)));
  const isGenerator = config.stage_2 !== undefined;
  const isRae = !isGenerator && config.mae === undefined;
  const { params, ckpt } = raeConfig.stage_1;
  const names = own('classes.json');
  const parts: ModelParts = {
    folder,
    config,
    raeConfig,
    encoder: own('encoder.safetensors') ?? encoderPath(near(encoderOf(raeConfig)) ?? ''),
    decoder:
      (isRae ? trained : undefined) ?? own('decoder.safetensors') ?? near(ckpt ?? params.pretrained_decoder_path),
    stats:
      own('stats.safetensors') ?? near(config.stage_1.params.normalization_stat_path ?? params.normalization_stat_path),
    dit: (isGenerator ? trained : undefined) ?? own('dit.safetensors') ?? near(config.stage_2?.ckpt),
    classes: names === undefined ? undefined : readJsonTexts(names),
    step: checkpoint?.step,
  };
  if (typeof ema === 'number' && checkpoint === undefined) {
    throw new ConfigError(`--ema: expected a run with checkpoints, received '${path}' without. Leave the rate out.`);
  }
  if (raw && folder !== undefined && trained === undefined) {
    throw new ConfigError(
      `--raw: expected a run with checkpoints, received '${path}' with final weights alone. Leave --raw out.`,
    );
  }
  return parts;
}

/** The file of the average at a rate, by default the run's first. ConfigError lists the rates that a run has. */
function averageFile({ training }: RunConfig, rate: number | true | undefined, folder: string): string {
  if (rate === undefined || rate === true || rate === training.ema_decay) return 'ema.safetensors';
  const file = `ema-${rate}.safetensors`;
  if (existsSync(join(folder, file))) return file;
  throw new ConfigError(
    expected(
      '--ema',
      `a rate that the run averages at (${[training.ema_decay, ...training.ema_decays].join(', ')})`,
      rate,
    ),
  );
}

/** `embedded` -> the shipped encoder; a run of `rae train encoder` -> its encoder; a name -> its place in the cache; else as it is. */
export function encoderPath(path: string, where = '--encoder'): string {
  if (path === 'embedded') return join(EMBEDDED, 'encoder.safetensors');
  const found = resolveWeights(path, where);
  const own = join(found, 'encoder.safetensors');
  return existsSync(own) ? own : found;
}

/** Whether `path` names a model with a configuration; a lone file or folder of weights does not. */
export function hasConfig(path: string): boolean {
  if (path === 'embedded' || isYaml(path)) return true;
  const found = resolveWeights(path, '--model');
  return existsSync(found) && (modelFolder(found) !== undefined || diffusersFolder(found) !== undefined);
}

/** The parts of an AutoencoderRAE that `path` is, or whose file of weights it is. */
function diffusersFolder(path: string): ModelParts | undefined {
  if (!existsSync(path)) return undefined;
  if (statSync(path).isDirectory()) return diffusersParts(path);
  return basename(path).startsWith(DIFFUSERS_WEIGHTS) ? diffusersParts(dirname(path)) : undefined;
}

interface Location {
  /** The folder of the parts; none for a configuration file. */
  folder: string | undefined;
  configFile: string;
  checkpoint: { step: number | undefined; path: string } | undefined;
  /** The file of weights that was named. */
  weights: string | undefined;
}

function locate(path: string, flag: string): Location {
  const root = path === 'embedded' ? EMBEDDED : resolveWeights(path, flag);
  if (path === 'embedded' && !existsSync(join(root, 'config.yaml'))) {
    throw new ConfigError(`${flag}: expected the shipped model in '${root}', received none. Install rae anew.`);
  }
  if (!existsSync(root)) {
    const next = "Name a run directory, a configuration, or 'embedded'.";
    throw new ConfigError(expected(flag, 'an existing run directory or file', path, hintFor(path) || next));
  }
  if (isYaml(root)) return { folder: undefined, configFile: root, checkpoint: undefined, weights: undefined };
  const folder = modelFolder(root);
  const isFile = statSync(root).isFile();
  if (folder === undefined) {
    const [where, next] = isFile
      ? ['beside', 'Give the configuration here and this file with --weights.']
      : existsSync(join(root, 'config.json'))
        ? [
            'in',
            'An encoder of the hub is no model yet: it goes with `rae encode --model` or `rae train rae --encoder`.',
          ]
        : ['in', 'Name a run directory.'];
    throw new ConfigError(`${flag}: expected config.yaml ${where} '${path}', received none. ${next}`);
  }
  const holder = isFile ? dirname(root) : root;
  const checkpoint = holder === folder ? latestCheckpoint(folder) : { step: stepOf(holder), path: holder };
  const isPart = /^(encoder|decoder|stats|classes)\.\w+$/.test(basename(root)); // one of several: the whole folder is meant
  return { folder, configFile: join(folder, 'config.yaml'), checkpoint, weights: isFile && !isPart ? root : undefined };
}

/** The folder with config.yaml that `path` is, or that it lies in as a checkpoint or as a file. */
function modelFolder(path: string): string | undefined {
  const holder = statSync(path).isDirectory() ? path : dirname(path);
  const folders = /^(step-\d+|best)$/.test(basename(holder)) ? [holder, join(holder, '..', '..')] : [holder];
  return folders.find((folder) => existsSync(join(folder, 'config.yaml')));
}

/** The step of a checkpoint, which its name says, or, for `best`, its state. */
function stepOf(checkpoint: string): number | undefined {
  const named = /^step-(\d+)$/.exec(basename(checkpoint))?.[1];
  if (named !== undefined) return Number(named);
  const state = join(checkpoint, 'state.json');
  const step = existsSync(state) ? readJsonObject(state).step : undefined;
  return typeof step === 'number' ? step : undefined;
}

function isYaml(path: string): boolean {
  return /\.ya?ml$/i.test(path);
}

/** The file to load where it differs from encoder_config_path has the reference's two names. */
function encoderOf({ stage_1: { params } }: RunConfig): string {
  const { dinov2_path, model_name } = params.encoder_params;
  return dinov2_path ?? model_name ?? params.encoder_config_path;
}

/**
 * A path of a configuration: from the working directory as in the reference, else from the configuration's own folder or, for a path
 * with folders in it, one above (the reference's paths begin at its repository's root), else from the hub's cache.
 * ConfigError for a name that the cache has not.
 */
function nearby(path: string, folder: string): string {
  if (path === 'embedded' || isAbsolute(path) || existsSync(path)) return path;
  const above = path.includes('/') ? ancestors(resolve(folder)) : [folder];
  const found = above.map((at) => join(at, path)).find(existsSync);
  return found ?? resolveWeights(path, 'configuration');
}

function ancestors(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}

/**
 * The configuration with what else it names beside weights: the decoder's sizes from its config.json, mean and deviation of pictures
 * from the folder of encoder_config_path where that is not the one with the weights (the reference reads them there), the guide's file.
 * ConfigError, with `flag`, when that folder is not there.
 */
function located(config: RunConfig, near: (path: string) => string, flag?: string): RunConfig {
  const { stage_1, guidance } = config;
  const { decoder_config, decoder_config_path, encoder_config_path, encoder_params } = stage_1.params;
  const processor = near(encoder_config_path);
  const isOther = encoder_config_path !== encoderOf(config) && encoder_config_path !== UNNAMED_ENCODER;
  if (isOther && flag !== undefined && !existsSync(processor)) {
    throw new ConfigError(
      expected(`${flag}: stage_1.params.encoder_config_path`, 'a folder that is there', processor, hintFor(processor)),
    );
  }
  const sizes = decoder_config ?? readDecoderConfig(near(decoder_config_path));
  const params = {
    ...stage_1.params,
    encoder_params: { ...(isOther && pixelsOf(processor)), ...encoder_params },
    ...(sizes && { decoder_config: sizes }),
  };
  const guide = guidance.guidance_model;
  return {
    ...config,
    stage_1: { ...stage_1, params },
    guidance: guide?.ckpt ? { ...guidance, guidance_model: { ...guide, ckpt: near(guide.ckpt) } } : guidance,
  };
}

function pixelsOf(folder: string): Partial<RunConfig['stage_1']['params']['encoder_params']> {
  const { mean, std } = hintsOfFolder(folder) as { mean?: [number, number, number]; std?: [number, number, number] };
  return { ...(mean && { image_mean: mean }), ...(std && { image_std: std }) };
}
