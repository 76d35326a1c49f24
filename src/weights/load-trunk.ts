// The frozen trunk of the discriminator from a file: DINO's published weights as the reference loads them (models/dino-trunk.ts), else
// any encoder that loadEncoder knows. DINO's files are ViTs in timm's names, of its three sizes and without a classifier.

import { existsSync, statSync } from 'node:fs';
import { readSafetensorsHeader } from '../io/safetensors.ts';
import { fileKind, loadTensorFile } from '../io/tensor-file.ts';
import { dinoTrunkFromState } from '../models/dino-trunk.ts';
import { type EncoderSpec, IMAGENET_MEAN, IMAGENET_STD } from '../models/encoders/index.ts';
import type { ViT } from '../models/vit.ts';
import { dispose, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { encoderFromState, isDino } from './encoder-state.ts';
import { loadEncoder } from './load-encoder.ts';

export interface LoadedTrunk {
  vit: ViT;
  spec: EncoderSpec;
}

/** Loads a trunk, frozen. `spec` is what saveEncoder needs to keep it. WeightsError when the file is of no known layout. */
export function loadTrunk(path: string): LoadedTrunk {
  if (!existsSync(path))
    throw new WeightsError(expected('loadTrunk', 'an existing file or folder', path, 'Check --disc.'));
  if (statSync(path).isDirectory() || isOwn(path)) return loadEncoder(path);
  const state = loadTensorFile(path);
  try {
    return trunkFromState(state);
  } finally {
    dispose(state);
  }
}

/** The trunk of a file's tensors, which are copied. */
export function trunkFromState(state: ReadonlyMap<string, Tensor>): LoadedTrunk {
  if (!isDino(state)) return encoderFromState(state);
  const vit = dinoTrunkFromState(state);
  return { vit, spec: { family: 'dino', vit: vit.options, mean: IMAGENET_MEAN, std: IMAGENET_STD } };
}

/** Written by saveEncoder: the metadata hold the specification. */
function isOwn(path: string): boolean {
  return fileKind(path) === 'safetensors' && readSafetensorsHeader(path).metadata?.['rae.encoder'] !== undefined;
}
