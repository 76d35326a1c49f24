// AutoencoderRAE folders of diffusers (spec 14.1): config.json beside diffusion_pytorch_model.safetensors (or .bin, or an index of
// shards), which holds the encoder under Hugging Face's names, the decoder under names of its own, and buffers: pixel mean and
// deviation, latent mean and deviation.
// diffusers divides latents by (deviation + 1e-5), recomputes the decoder's position table and drops one that the file has.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMAGENET_MEAN, IMAGENET_STD } from '../models/encoders/index.ts';
import { sincosTable } from '../models/layers/sincos.ts';
import { cat, type Tensor, tidy, zeros } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';

/** The fields of config.json that make the model. */
export interface DiffusersConfig {
  encoder_type: 'dinov2' | 'siglip2' | 'mae';
  encoder_hidden_size: number;
  encoder_patch_size: number;
  encoder_num_hidden_layers: number;
  encoder_input_size: number;
  decoder_hidden_size: number;
  decoder_num_hidden_layers: number;
  decoder_num_attention_heads: number;
  decoder_intermediate_size: number;
  /** The decoder's. */
  patch_size: number;
  /** Of pixels. */
  encoder_norm_mean: readonly number[];
  encoder_norm_std: readonly number[];
  noise_tau: number;
  reshape_to_2d: boolean;
  scaling_factor: number;
  /** Null where latents are not normalised. */
  latents_mean: unknown;
  latents_std: unknown;
}

const DEFAULTS: DiffusersConfig = {
  encoder_type: 'dinov2',
  encoder_hidden_size: 768,
  encoder_patch_size: 14,
  encoder_num_hidden_layers: 12,
  encoder_input_size: 224,
  decoder_hidden_size: 512,
  decoder_num_hidden_layers: 8,
  decoder_num_attention_heads: 16,
  decoder_intermediate_size: 2048,
  patch_size: 16,
  encoder_norm_mean: IMAGENET_MEAN,
  encoder_norm_std: IMAGENET_STD,
  noise_tau: 0,
  reshape_to_2d: true,
  scaling_factor: 1,
  latents_mean: null,
  latents_std: null,
};

export const DIFFUSERS_CLASS = 'AutoencoderRAE';
export const DIFFUSERS_WEIGHTS = 'diffusion_pytorch_model';

/** What diffusers adds to the deviation of latents. */
export const DIFFUSERS_EPS = 1e-5;

/** Side of the pictures that diffusers builds each encoder's position table for, and its feed-forward, by the width. */
export const DIFFUSERS_ENCODERS = {
  dinov2: { imageSize: 518, hidden: (width: number) => 4 * width, prefix: 'encoder.' },
  siglip2: { imageSize: 256, hidden: () => 3072, prefix: 'encoder.vision_model.' },
  mae: { imageSize: 224, hidden: () => 3072, prefix: 'encoder.' },
} as const;

/** The configuration of an AutoencoderRAE folder, defaults filled in; undefined when the folder is none. */
export function readDiffusersConfig(folder: string): DiffusersConfig | undefined {
  const file = join(folder, 'config.json');
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8');
  if (!text.includes(`"${DIFFUSERS_CLASS}"`)) return undefined;
  const json = parseJson(text, file);
  if (json._class_name !== DIFFUSERS_CLASS) return undefined;
  const given = Object.entries(DEFAULTS).map(([key, fallback]) => [key, json[key] ?? fallback] as const);
  for (const [key, value] of given) checkField(file, key, value);
  const config = Object.fromEntries(given) as unknown as DiffusersConfig;
  if ((json.num_channels ?? 3) !== 3) throw refused(file, 'num_channels', '3', json.num_channels);
  return config;
}

function parseJson(text: string, file: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new WeightsError(`${file}: expected JSON, received a file that is none. Download it again.`, {
      cause: error,
    });
  }
}

function checkField(file: string, key: string, value: unknown): void {
  const wanted = DEFAULTS[key as keyof DiffusersConfig];
  if (key === 'encoder_type') {
    const known = Object.keys(DIFFUSERS_ENCODERS);
    if (!known.includes(value as string)) throw refused(file, key, `one of ${known.join(', ')}`, value);
  } else if (Array.isArray(wanted)) {
    if (!(Array.isArray(value) && value.length === 3 && value.every((x) => Number.isFinite(x))))
      throw refused(file, key, 'three numbers', value);
  } else if (wanted !== null && typeof value !== typeof wanted) {
    throw refused(file, key, `a ${typeof wanted}`, value);
  } else if (typeof value === 'number' && Number.isInteger(wanted) && key !== 'noise_tau' && key !== 'scaling_factor') {
    if (!(Number.isSafeInteger(value) && value > 0)) throw refused(file, key, 'a positive whole number', value);
  } else if (key === 'scaling_factor' && !((value as number) > 0)) throw refused(file, key, 'a positive number', value);
}

function refused(file: string, key: string, what: string, value: unknown): WeightsError {
  return new WeightsError(expected(`${file}: ${key}`, what, value));
}

/** The file of weights in an AutoencoderRAE folder, or the index of its shards. */
export function diffusersWeights(folder: string): string {
  const stems = [DIFFUSERS_WEIGHTS, `${DIFFUSERS_WEIGHTS}.fp16`, `${DIFFUSERS_WEIGHTS}.bf16`];
  const names = stems.flatMap((stem) =>
    ['safetensors', 'safetensors.index.json', 'bin'].map((ending) => `${stem}.${ending}`),
  );
  const found = names.find((name) => existsSync(join(folder, name)));
  if (found !== undefined) return join(folder, found);
  const there = readdirSync(folder).slice(0, 8);
  throw new WeightsError(expected(`'${folder}'`, `${names[0]} beside config.json`, there, 'Download it too.'));
}

const RENAMED: readonly (readonly [ours: string, theirs: string])[] = [
  ['.attention.attention.query.', '.attention.to_q.'],
  ['.attention.attention.key.', '.attention.to_k.'],
  ['.attention.attention.value.', '.attention.to_v.'],
  ['.attention.output.dense.', '.attention.to_out.0.'],
];

/** A decoder's state dict under the reference's names, from one under diffusers' (without `decoder.`); others stay as they are. */
export function decoderFromDiffusers<T>(state: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...state].map(([key, t]) => [rename(key, (pair) => [pair[1], pair[0]]), t]));
}

/** The way back. */
export function decoderToDiffusers<T>(state: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...state].map(([key, t]) => [rename(key, (pair) => [pair[0], pair[1]]), t]));
}

/** Whether these are diffusers' names of a decoder. */
export function isDiffusersDecoder(keys: Iterable<string>): boolean {
  return [...keys].some((key) => key.includes('.attention.to_q.'));
}

/** The position table that diffusers computes: a zero row, then positions spread over 16 whatever the grid. [1, 1 + side*side, D] */
export function diffusersPositions(width: number, side: number): Tensor {
  return tidy(() => {
    const table = sincosTable(width, side, side, { spacing: 16 / side });
    return cat([zeros([1, width]), table], 0).unsqueeze(0);
  });
}

function rename(key: string, order: (pair: readonly [string, string]) => readonly [from: string, to: string]): string {
  const [from, to] = RENAMED.map(order).find(([from]) => key.includes(from)) ?? ['', ''];
  return from === '' ? key : key.replace(from, to);
}
