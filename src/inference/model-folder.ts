// Where the parts of a model lie. A model is named by
//   a run directory, or a folder with the same files and no checkpoints (assets/ is one):
//     config.yaml  rae.yaml  encoder.safetensors  decoder.safetensors  stats.safetensors  dit.safetensors  classes.json
//   one of a run's checkpoints (RUN/checkpoints/step-0001000, or best), or a file of weights in either;
//   a configuration file whose own paths name the parts, as the reference's do (looked up as they are, then beside it);
//   an AutoencoderRAE folder of diffusers, or its file of weights;
//   `embedded`, the shipped model;
// and each of the paths by a name of the catalogue or of the hub as well, once it is in the cache (weights/resolve.ts).

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, type RunConfig } from '../config/index.ts';
import { latestCheckpoint } from '../runs/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { readJsonObject, readJsonTexts } from '../util/json.ts';
import { DIFFUSERS_WEIGHTS } from '../weights/diffusers.ts';
import { hintFor, resolveWeights } from '../weights/resolve.ts';
import { diffusersParts } from './diffusers-folder.ts';

/** The folder of the shipped model: encoder, decoder, statistics and generator of the embedded set. */
export const EMBEDDED = fileURLToPath(new URL('../../assets/', import.meta.url));

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
  /** What named the model, for messages. */
  flag?: string;
}

/** Finds the parts of the model at `path`. ConfigError when nothing there is a model. */
export function modelParts(path: string, { raw = false, flag = '--model' }: PartsOptions = {}): ModelParts {
  const foreign = path === 'embedded' ? undefined : diffusersFolder(resolveWeights(path, flag));
  if (foreign !== undefined) return foreign;
  const { folder, configFile, checkpoint, weights } = locate(path, flag);
  const config = withDecoderFolder(loadConfig(configFile), dirname(configFile));
  const own = (name: string) => (folder && existsSync(join(folder, name)) ? join(folder, name) : undefined);
  const near = (name: string | undefined) => name && nearby(name, dirname(configFile));
  const raeFile = own('rae.yaml');
  const raeConfig = raeFile === undefined ? config : loadConfig(raeFile);
  const trained = weights ?? (checkpoint && join(checkpoint.path, raw ? 'model.safetensors' : 'ema.safetensors'));
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
      (isRae ? trained : undefined) ?? own('decoder.safetensors') ?? near(params.pretrained_decoder_path ?? ckpt),
    stats:
      own('stats.safetensors') ?? near(config.stage_1.params.normalization_stat_path ?? params.normalization_stat_path),
    dit: (isGenerator ? trained : undefined) ?? own('dit.safetensors') ?? near(config.stage_2?.ckpt),
    classes: names === undefined ? undefined : readJsonTexts(names),
    step: checkpoint?.step,
  };
  if (raw && folder !== undefined && trained === undefined) {
    throw new ConfigError(
      `--raw: expected a run with checkpoints, received '${path}' with final weights alone. Leave --raw out.`,
    );
  }
  return parts;
}

/** The configuration with the folder of the decoder's config.json, like every path of it, looked up beside it too. */
function withDecoderFolder(config: RunConfig, folder: string): RunConfig {
  const { params } = config.stage_1;
  const decoder_config_path = nearby(params.decoder_config_path, folder);
  if (decoder_config_path === params.decoder_config_path) return config;
  return { ...config, stage_1: { ...config.stage_1, params: { ...params, decoder_config_path } } };
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
 * A path of a configuration: from the working directory as in the reference, else from the configuration's own folder, else from
 * the hub's cache. ConfigError for a name that the cache has not.
 */
export function nearby(path: string, folder: string): string {
  if (path === 'embedded' || isAbsolute(path) || existsSync(path)) return path;
  const beside = join(folder, path);
  return existsSync(beside) ? beside : resolveWeights(path, 'configuration');
}
