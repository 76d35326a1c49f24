// rae train encoder|rae|dit --estimate: the sizes of what a configuration names, from the tables of its files, and the estimate as text. Every run is
// held against the machine's memory by it before anything is loaded.

import { existsSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { RunConfig } from '../config/index.ts';
import { decoderSizes } from '../inference/build.ts';
import { encoderPath, modelParts } from '../inference/model-folder.ts';
import { loadTensorFile } from '../io/tensor-file.ts';
import { lpipsNetwork } from '../losses/lpips-weights.ts';
import { dinoOptions, dinoRecipes } from '../models/dino-trunk.ts';
import type { ViTOptions } from '../models/vit.ts';
import { dispose } from '../tensor/index.ts';
import {
  estimateStage1,
  type LpipsNetwork,
  type PhaseEstimate,
  type Stage1Estimate,
  type Stage1Sizes,
} from '../train/estimate.ts';
import { estimateStage2, type Stage2Estimate, type Stage2Sizes } from '../train/estimate-dit.ts';
import { type EncoderEstimate, estimateEncoder } from '../train/estimate-encoder.ts';
import { checkSide } from '../train/rae.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { bytes, count, figure, table } from '../util/format.ts';
import { readEncoderSpec } from '../weights/index.ts';

type Estimate = Stage1Estimate | Stage2Estimate | EncoderEstimate;

type RaeSizes = Pick<Stage2Sizes, 'encoder' | 'decoder' | 'latent'>;

/** What a run of this stage takes; `rae`: what raeSizes() says. ConfigError where sizes do not fit each other or the pictures. */
export function estimateOf(
  config: RunConfig,
  { rae, classes }: { rae?: RaeSizes | undefined; classes?: number | undefined },
): Estimate {
  if (config.mae !== undefined) return estimateEncoder(config);
  if (config.stage_2 === undefined) return estimateStage1(config, sizesOf(config));
  return estimateStage2(config, { ...(rae ?? raeSizes(config)), classes: classes ?? config.misc.num_classes });
}

/** ConfigError where a run would take clearly more than the machine's memory. */
export function checkMemory(estimate: Estimate, have = machineMemory()): void {
  const phases = 'step' in estimate ? [estimate.step] : [estimate.reconstruction, estimate.adversarial];
  const need = Math.max(...phases.map((phase) => phase?.memory ?? 0));
  if (need <= have * TOLERANCE) return;
  throw new ConfigError(
    `rae train: expected sizes that fit into the ${bytes(have)} of this machine's memory, received ones that take about ${bytes(need)} (--estimate). ` +
      'Set training.global_batch_size or data.image_size lower or training.grad_accum_steps higher, or go on with --any-size.',
  );
}

/** Estimates are right to about a quarter. */
const TOLERANCE = 1.25;

/** Of the machine, or of the container that the process runs in. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(totalmem(), limit) : totalmem();
}

/** Sizes of the RAE that stage 2 builds on: that of --rae, else of the configuration's own section. */
export function raeSizes(config: RunConfig, rae?: string): RaeSizes {
  const parts = rae === undefined ? undefined : modelParts(rae, { flag: '--rae' });
  const raeConfig = parts?.raeConfig ?? config;
  const encoder = parts ? readEncoderSpec(parts.encoder).vit : specOf(raeConfig.stage_1.params.encoder_config_path);
  checkPatch(raeConfig, encoder);
  const decoder = decoderSizes(raeConfig, encoder);
  const side = Math.sqrt(decoder.tokens);
  return { encoder, decoder, latent: [encoder.width, side, side] };
}

/** Sizes of the networks of a stage-1 configuration. ConfigError where they do not fit each other or the pictures. */
export function sizesOf(config: RunConfig): Stage1Sizes {
  const encoder = specOf(config.stage_1.params.encoder_config_path);
  checkPatch(config, encoder);
  const decoder = decoderSizes(config, encoder);
  checkSide(Math.sqrt(decoder.tokens), decoder.patch, config.data.image_size);
  return { encoder, decoder, trunk: trunkOf(config, encoder), lpips: networkOf(config) };
}

function checkPatch({ stage_1 }: RunConfig, { patch }: ViTOptions): void {
  const { encoder_input_size } = stage_1.params;
  if (encoder_input_size % patch === 0) return;
  const what = `a multiple of the encoder's patch ${patch}`;
  throw new ConfigError(expected('stage_1.params.encoder_input_size', what, encoder_input_size));
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

export function estimateText(config: RunConfig, estimate: Estimate): string {
  const { checkpoint } = estimate;
  return [
    ...('step' in estimate ? stepLines(config, estimate) : decoderLines(config, estimate)),
    '',
    `A checkpoint takes ${bytes(checkpoint)}. Memory is that of a process on CPUs, to about a quarter; a multiply-add counts as two operations.`,
  ].join('\n');
}

const phaseTable = (B: number, rows: readonly [name: string, phase: PhaseEstimate][]) =>
  table([
    ['phase', 'memory', `a step of ${B}`, 'a picture'],
    ...rows.map(([name, { memory, flops }]) => [name, bytes(memory), operations(flops), operations(flops / B)]),
  ]);

function stepLines({ training }: RunConfig, { parameters: p, step }: Stage2Estimate | EncoderEstimate): string[] {
  const [lines, phase] =
    'generator' in p
      ? [
          [
            `trained   generator ${count(p.generator)} parameters`,
            `frozen    encoder ${count(p.encoder)}, decoder ${count(p.decoder)}`,
          ],
          'flow matching',
        ]
      : [[`trained   encoder ${count(p.encoder)}, decoder ${count(p.decoder)} parameters`], 'masked autoencoder'];
  return [...lines, '', phaseTable(training.global_batch_size, [[phase as string, step]])];
}

function decoderLines({ training, losses }: RunConfig, estimate: Stage1Estimate): string[] {
  const { parameters: p, reconstruction, adversarial } = estimate;
  const frozen = [
    `encoder ${count(p.encoder)}`,
    ...(p.lpips ? [`LPIPS ${count(p.lpips)}`] : []),
    ...(p.trunk ? [`discriminator's trunk ${count(p.trunk)}`] : []),
  ];
  return [
    `trained   decoder ${count(p.decoder)}${p.heads ? `, discriminator's heads ${count(p.heads)}` : ''} parameters`,
    `frozen    ${frozen.join(', ')}`,
    '',
    phaseTable(training.global_batch_size, [
      [losses.lpips > 0 && p.lpips ? 'L1 + LPIPS' : 'L1', reconstruction],
      ...(adversarial ? [['adversarial', adversarial] as [string, PhaseEstimate]] : []),
    ]),
  ];
}

function operations(n: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  const i = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(n, 1)) / 3));
  return `${figure(n / 1000 ** i)} ${units[i]}FLOP`;
}
