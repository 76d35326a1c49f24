// Where the parts of a model lie. A model is a run directory, or a folder with the same files and no checkpoints (assets/ is one):
//   config.yaml   encoder.safetensors   decoder.safetensors   stats.safetensors   dit.safetensors   classes.json
// or a configuration file whose own paths name the parts, as the reference's do.

import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, type RunConfig } from '../config/index.ts';
import { latestCheckpoint } from '../runs/index.ts';
import { ConfigError } from '../util/errors.ts';

/** The folder of the shipped model: encoder, decoder, statistics and generator of the embedded set. */
export const EMBEDDED = fileURLToPath(new URL('../../assets/', import.meta.url));

export interface ModelParts {
  config: RunConfig;
  /** A file or folder that loadEncoder takes. */
  encoder: string;
  decoder: string | undefined;
  stats: string | undefined;
  dit: string | undefined;
  /** Names of the classes by label, where they are known. */
  classes: string[] | undefined;
}

/** Finds the parts of the model at `path`; `embedded` is the shipped one. `raw` takes the trained weights instead of their average. */
export function modelParts(path: string, { raw = false }: { raw?: boolean } = {}): ModelParts {
  const root = path === 'embedded' ? EMBEDDED : path;
  if (!existsSync(root))
    throw new ConfigError(
      `--model: expected a run directory or a configuration file, received '${path}', which does not exist.`,
    );
  const isFolder = statSync(root).isDirectory();
  const configFile = isFolder ? join(root, 'config.yaml') : root;
  if (!existsSync(configFile))
    throw new ConfigError(
      `--model: expected config.yaml in '${path}', received a folder without it. Name a run directory.`,
    );
  const config = loadConfig(configFile);
  const inFolder = (name: string) => (isFolder && existsSync(join(root, name)) ? join(root, name) : undefined);
  const checkpoint = isFolder ? latestCheckpoint(root)?.path : undefined;
  const trained = checkpoint && join(checkpoint, raw ? 'model.safetensors' : 'ema.safetensors');
  const isStage1 = config.stage_2 === undefined && config.mae === undefined;
  const { stage_1, stage_2 } = config;
  const names = inFolder('classes.json');
  return {
    config,
    encoder: inFolder('encoder.safetensors') ?? encoderPath(stage_1.params.encoder_config_path),
    decoder:
      inFolder('decoder.safetensors') ?? (isStage1 ? trained : undefined) ?? stage_1.params.pretrained_decoder_path,
    stats: inFolder('stats.safetensors') ?? stage_1.params.normalization_stat_path,
    dit: inFolder('dit.safetensors') ?? (stage_2 ? trained : undefined) ?? stage_2?.ckpt,
    classes: names === undefined ? undefined : (JSON.parse(readFileSync(names, 'utf8')) as string[]),
  };
}

/** `embedded` -> the shipped encoder; a run of `rae train encoder` -> its encoder; anything else as it is. */
export function encoderPath(path: string): string {
  if (path === 'embedded') return join(EMBEDDED, 'encoder.safetensors');
  const own = join(path, 'encoder.safetensors');
  return existsSync(own) ? own : path;
}
