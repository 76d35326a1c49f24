// Encoders from files: a Hugging Face folder (config.json, preprocessor_config.json, and model.safetensors or pytorch_model.bin, also
// sharded), an AutoencoderRAE folder of diffusers, one file in Hugging Face's or timm's names (safetensors or PyTorch), or one of our
// own, whose metadata holds the whole specification.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadSafetensors, readSafetensorsHeader, safetensorsPieces, saveSafetensors } from '../io/safetensors.ts';
import type { TensorBytes } from '../io/storage-dtype.ts';
import { fileKind, loadTensorFile } from '../io/tensor-file.ts';
import { Encoder, type EncoderSpec } from '../models/encoders/index.ts';
import type { ViT } from '../models/vit.ts';
import { skipInit } from '../nn/index.ts';
import { dispose } from '../tensor/index.ts';
import { sha256 } from '../util/digest.ts';
import { WeightsError } from '../util/errors.ts';
import { type DiffusersConfig, diffusersWeights, readDiffusersConfig } from './diffusers.ts';
import { checkSizes, parseEncoderSpec } from './encoder-spec.ts';
import { type EncoderHints, encoderFromState, loadEncoderState, withHints } from './encoder-state.ts';
import { hintsOfFolder } from './hub-folder.ts';

/** Metadata key of our own encoder files: the EncoderSpec as JSON. */
const SPEC_KEY = 'rae.encoder';

/**
 * Loads an encoder, frozen and in evaluation mode. `hints` override what the files say; `normalize: false` keeps the affine part of
 * the final norm.
 * @throws WeightsError when the file is missing, of an unknown layout, or does not fit
 */
export function loadEncoder(path: string, hints: EncoderHints = {}): Encoder {
  const found = locateEncoder(path);
  const all = { ...found.hints, ...definedOnly(hints) };
  return found.saved === undefined ? loadFile(found.file, all) : loadOwn(found.file, found.saved, all);
}

export interface EncoderLocation {
  /** The file of weights, or the index of its shards. */
  file: string;
  /** What the JSON files and tensors beside the weights say. */
  hints: EncoderHints;
  /** The specification, where the file is one of ours. */
  saved: EncoderSpec | undefined;
}

/** Where the encoder that `path` names lies, and what is known of it without its weights. WeightsError when there is none. */
export function locateEncoder(path: string): EncoderLocation {
  if (!existsSync(path)) {
    throw new WeightsError(
      `loadEncoder: expected a file or folder, received '${path}', which does not exist. Check --encoder.`,
    );
  }
  if (statSync(path).isDirectory()) return inFolder(path);
  return { file: path, hints: {}, saved: savedSpec(path) };
}

/** The specification in a file of ours, held against its tensors. */
function savedSpec(path: string): EncoderSpec | undefined {
  if (fileKind(path) !== 'safetensors') return undefined;
  const { metadata, tensors } = readSafetensorsHeader(path);
  const json = metadata[SPEC_KEY];
  if (json === undefined) return undefined;
  const spec = parseEncoderSpec(json, path);
  checkSizes(spec, tensors, path);
  return spec;
}

/** Writes an encoder with all that loadEncoder needs to build it again. */
export function saveEncoder(path: string, vit: ViT, spec: EncoderSpec): void {
  saveEncoderTensors(path, vit.stateDict(), spec);
}

/** The same from its tensors under our names. */
export function saveEncoderTensors(path: string, state: ReadonlyMap<string, TensorBytes>, spec: EncoderSpec): void {
  saveSafetensors(path, state, { [SPEC_KEY]: JSON.stringify(spec) });
}

/** SHA-256 of the file that saveEncoder would write: names an encoder whatever the layout it came in. */
export function encoderDigest({ vit, spec }: Encoder): string {
  return sha256(safetensorsPieces(vit.stateDict(), { [SPEC_KEY]: JSON.stringify(spec) }));
}

/** Sizes and pixel moments of an encoder of our own, without its weights: enough to normalise, decode and sample, not to encode. */
export function encoderOutline(path: string): Encoder {
  const { [SPEC_KEY]: json } = readSafetensorsHeader(path).metadata ?? {};
  if (json === undefined) {
    throw new WeightsError(
      `encoderOutline: expected an encoder that rae saved, received '${path}'. Load it with loadEncoder.`,
    );
  }
  const spec = JSON.parse(json) as EncoderSpec;
  const encoder = skipInit(() => new Outline({ ...spec, vit: { ...spec.vit, depth: 0 } }));
  return encoder.eval().requiresGrad_(false);
}

class Outline extends Encoder {
  override forward(): never {
    throw new WeightsError(
      'Encoder.forward: expected an encoder with weights, received its outline. Load it with loadEncoder.',
    );
  }
}

function loadFile(path: string, hints: EncoderHints): Encoder {
  const state = loadTensorFile(path, { mmap: true }); // what is used is copied
  try {
    return encoderFromState(state, hints);
  } finally {
    dispose(state);
  }
}

function loadOwn(path: string, saved: EncoderSpec, hints: EncoderHints): Encoder {
  const finalNorm = hints.normalize === false ? 'affine' : 'plain';
  const spec = withHints({ ...saved, vit: { ...saved.vit, finalNorm } }, hints);
  const state = loadSafetensors(path);
  try {
    const encoder = skipInit(() => new Encoder(spec));
    loadEncoderState(encoder, state);
    return encoder.eval().requiresGrad_(false);
  } finally {
    dispose(state);
  }
}

const WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

function inFolder(folder: string): EncoderLocation {
  const diffusers = readDiffusersConfig(folder);
  if (diffusers !== undefined) return inDiffusers(folder, diffusers);
  const name = WEIGHTS.find((file) => existsSync(join(folder, file)));
  if (name === undefined) {
    throw new WeightsError(
      `loadEncoder: expected model.safetensors or pytorch_model.bin in '${folder}', received neither. Download it beside config.json.`,
    );
  }
  return { file: join(folder, name), hints: hintsOfFolder(folder), saved: undefined };
}

/** The encoder inside an AutoencoderRAE: heads of 64, pixel mean and deviation among the tensors. */
function inDiffusers(folder: string, config: DiffusersConfig): EncoderLocation {
  const file = diffusersWeights(folder);
  const state = loadTensorFile(file, { mmap: true });
  try {
    // The tensors count; the numbers of config.json are taken where they are the same, since they are not rounded to float32.
    const moments = (key: string, said: readonly number[]) => {
      const stored = state.get(key)?.toNumbers() ?? said;
      return stored.every((value, i) => value === Math.fround(said[i] ?? Number.NaN)) ? said : stored;
    };
    const mean = moments('encoder_mean', config.encoder_norm_mean);
    const std = moments('encoder_std', config.encoder_norm_std);
    return { file, hints: { heads: Math.floor(config.encoder_hidden_size / 64), mean, std }, saved: undefined };
  } finally {
    dispose(state);
  }
}

function definedOnly(hints: EncoderHints): EncoderHints {
  return Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined));
}
