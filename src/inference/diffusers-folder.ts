// An AutoencoderRAE folder of diffusers as a model of ours: its config.json says what a configuration of stage 1 would, and its one
// file of weights is encoder, decoder and statistics.

import { basename } from 'node:path';
import { type RunConfig, resolveConfig } from '../config/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { type DiffusersConfig, diffusersWeights, readDiffusersConfig } from '../weights/index.ts';
import type { ModelParts } from './model-folder.ts';

const ENCODER_CLASSES = { dinov2: 'Dinov2withNorm', siglip2: 'SigLIP2wNorm', mae: 'MAEwNorm' } as const;

/** The parts of the model in `folder`; undefined when that is no AutoencoderRAE. */
export function diffusersParts(folder: string): ModelParts | undefined {
  const json = readDiffusersConfig(folder);
  if (json === undefined) return undefined;
  if (json.scaling_factor !== 1) {
    const next = 'A scale beside the statistics has no place here.';
    throw new ConfigError(expected(`${folder}/config.json: scaling_factor`, '1', json.scaling_factor, next));
  }
  const config = runConfig(folder, json);
  const weights = diffusersWeights(folder);
  return {
    folder,
    config,
    raeConfig: config,
    encoder: folder,
    decoder: weights,
    // Differs from diffusers, which divides by 1.00001 where a model has no statistics.
    stats: json.latents_mean === null && json.latents_std === null ? undefined : weights,
    dit: undefined,
    classes: undefined,
    step: undefined,
  };
}

function runConfig(folder: string, json: DiffusersConfig): RunConfig {
  const side = json.encoder_input_size / json.encoder_patch_size;
  const params = {
    encoder_cls: ENCODER_CLASSES[json.encoder_type],
    encoder_config_path: folder,
    encoder_input_size: json.encoder_input_size,
    decoder_config: {
      decoder_hidden_size: json.decoder_hidden_size,
      decoder_num_hidden_layers: json.decoder_num_hidden_layers,
      decoder_num_attention_heads: json.decoder_num_attention_heads,
      decoder_intermediate_size: json.decoder_intermediate_size,
    },
    decoder_patch_size: json.patch_size,
    noise_tau: json.noise_tau,
    reshape_to_2d: json.reshape_to_2d,
  };
  const data = { image_size: json.patch_size * side };
  return resolveConfig({ stage_1: { params }, data }, { name: `${basename(folder)}/config.json` });
}
