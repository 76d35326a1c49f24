// rae train rae --estimate: the sizes of what a configuration names, from the tables of its files, and the estimate as text.

import { existsSync } from 'node:fs';
import type { RunConfig } from '../config/index.ts';
import { decoderSizes } from '../inference/build.ts';
import { encoderPath } from '../inference/model-folder.ts';
import { loadTensorFile } from '../io/tensor-file.ts';
import { lpipsNetwork } from '../losses/lpips-weights.ts';
import { dinoOptions, dinoRecipes } from '../models/dino-trunk.ts';
import type { ViTOptions } from '../models/vit.ts';
import { dispose } from '../tensor/index.ts';
import type { LpipsNetwork, PhaseEstimate, Stage1Estimate, Stage1Sizes } from '../train/estimate.ts';
import { checkSide } from '../train/rae.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { bytes, count, figure, table } from '../util/format.ts';
import { readEncoderSpec } from '../weights/index.ts';

/** Sizes of the networks of a stage-1 configuration. ConfigError where they do not fit each other or the pictures. */
export function sizesOf(config: RunConfig): Stage1Sizes {
  const { encoder_config_path, encoder_input_size } = config.stage_1.params;
  const encoder = specOf(encoder_config_path);
  if (encoder_input_size % encoder.patch !== 0) {
    const what = `a multiple of the encoder's patch ${encoder.patch}`;
    throw new ConfigError(expected('stage_1.params.encoder_input_size', what, encoder_input_size));
  }
  const decoder = decoderSizes(config, encoder);
  checkSide(Math.sqrt(decoder.tokens), decoder.patch, config.data.image_size);
  return { encoder, decoder, trunk: trunkOf(config, encoder), lpips: networkOf(config) };
}

/** A file's, or for a published name that is not at hand the name's. */
function specOf(path: string): ViTOptions {
  const file = path === 'embedded' || existsSync(path) ? encoderPath(path) : path;
  return readEncoderSpec(file).vit;
}

function trunkOf({ gan }: RunConfig, encoder: ViTOptions): ViTOptions | undefined {
  if (gan === undefined) return undefined;
  const { dino_ckpt_path: path, recipe } = gan.disc.arch;
  if (path === 'encoder') return encoder;
  return path !== undefined && existsSync(path) ? specOf(path) : dinoOptions(dinoRecipes[recipe]);
}

function networkOf({ losses }: RunConfig): LpipsNetwork | undefined {
  const { lpips_file: path, lpips, gram } = losses;
  if (path === undefined || (lpips === 0 && gram === 0)) return undefined;
  if (!existsSync(path)) throw new ConfigError(expected('losses.lpips_file', 'an existing file', path));
  const weights = loadTensorFile(path, { mmap: true });
  try {
    return lpipsNetwork(weights);
  } finally {
    dispose(weights);
  }
}

export function estimateText({ training, losses }: RunConfig, estimate: Stage1Estimate): string {
  const { parameters: p, reconstruction, adversarial, checkpoint } = estimate;
  const B = training.global_batch_size;
  const frozen = [
    `encoder ${count(p.encoder)}`,
    ...(p.lpips ? [`LPIPS ${count(p.lpips)}`] : []),
    ...(p.trunk ? [`discriminator's trunk ${count(p.trunk)}`] : []),
  ];
  const row = (name: string, { memory, flops }: PhaseEstimate) => [
    name,
    bytes(memory),
    operations(flops),
    operations(flops / B),
  ];
  return [
    `trained   decoder ${count(p.decoder)}${p.heads ? `, discriminator's heads ${count(p.heads)}` : ''} parameters`,
    `frozen    ${frozen.join(', ')}`,
    '',
    table([
      ['phase', 'memory', `a step of ${B}`, 'a picture'],
      row(losses.lpips > 0 && p.lpips ? 'L1 + LPIPS' : 'L1', reconstruction),
      ...(adversarial ? [row('adversarial', adversarial)] : []),
    ]),
    '',
    `A checkpoint takes ${bytes(checkpoint)}. Memory is that of a process on CPUs, to about a quarter; a multiply-add counts as two operations.`,
  ].join('\n');
}

function operations(n: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  const i = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(n, 1)) / 3));
  return `${figure(n / 1000 ** i)} ${units[i]}FLOP`;
}
