// Extractors from files: which network it is, is told from the keys. The file's checksum goes with every result.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { encoderPath, hasConfig, modelParts } from '../inference/model-folder.ts';
import { withTensors } from '../inference/tensors.ts';
import { readSafetensorsHeader } from '../io/safetensors.ts';
import { fileKind } from '../io/tensor-file.ts';
import { Inception } from '../models/inception.ts';
import { SqueezeNet } from '../models/squeezenet.ts';
import { skipInit } from '../nn/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { loadEncoder } from '../weights/index.ts';
import { fileChecksum } from './checksum.ts';
import { type Extractor, encoderExtractor, inceptionExtractor, squeezeExtractor } from './extractor.ts';

export interface ExtractorFile {
  /** The file of weights. */
  file: string;
  /** SHA-256 of its bytes. */
  checksum: string;
}

/**
 * An extractor from what --extractor names: Inception's `.pth` (torch-fidelity's) or the same tensors as safetensors; an encoder in any
 * layout that loadEncoder takes; a run or `embedded`, whose encoder sees pictures of the run's own size; SqueezeNet 1.1 in torchvision's names.
 */
export function loadExtractor(path: string): Extractor & ExtractorFile {
  const run = isFile(path) || !hasConfig(path) ? undefined : modelParts(path, { flag: '--extractor' });
  const source = run?.encoder ?? encoderPath(path);
  if (!existsSync(source)) {
    const next = "Give Inception's weights, an encoder's, or 'embedded'.";
    throw new ConfigError(expected('--extractor', 'an existing file or folder of weights', path, next));
  }
  const isFolder = statSync(source).isDirectory();
  const file = isFolder ? join(source, 'model.safetensors') : source;
  const side = run && !run.config.mae ? run.raeConfig.stage_1.params.encoder_input_size : undefined;
  const extractor = run || isFolder ? encoderAt(source, side) : (convolutional(source) ?? encoderAt(source));
  return { ...extractor, file, checksum: fileChecksum(file) };
}

function convolutional(path: string): Extractor | undefined {
  return withTensors(path, (tensors) => {
    if (tensors.has('Conv2d_1a_3x3.conv.weight')) {
      const model = skipInit(() => new Inception());
      model.loadStateDict(tensors);
      return inceptionExtractor(model);
    }
    if (!tensors.has('features.3.squeeze.weight')) return undefined;
    const trunk = skipInit(() => new SqueezeNet());
    trunk.loadStateDict(new Map([...tensors].filter(([key]) => key.startsWith('features.'))));
    return squeezeExtractor(trunk.requiresGrad_(false));
  });
}

/** Published encoders keep their final norm's weights; those of RAE runs are as their RAE sees them, without. */
function encoderAt(path: string, side?: number): Extractor {
  const own = !statSync(path).isDirectory() && fileKind(path) === 'safetensors' && isOwn(path);
  return encoderExtractor(loadEncoder(path, own ? {} : { normalize: false }), { side });
}

/** A file of weights, wherever it lies; a configuration names a run. */
function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true && !/\.ya?ml$/i.test(path);
}

function isOwn(path: string): boolean {
  return readSafetensorsHeader(path).metadata['rae.encoder'] !== undefined;
}
