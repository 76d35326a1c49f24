// What stage 1 will take, from sizes alone: parameters, memory and arithmetic of a step, before anything is loaded. Parameters are exact.
// Arithmetic counts the products of linear maps, attention and convolutions (a multiply-add is two operations); what is element by
// element is left out. Memory is what the process is expected to hold on a CPU at its worst moment, the graph kept for backward above all;
// within a quarter of what was measured at the sizes of estimate.test.ts.
// D width, T tokens with the special ones, C channels.

import type { RunConfig } from '../config/index.ts';
import type { DecoderOptions } from '../models/decoder.ts';
import type { ViTOptions } from '../models/vit.ts';
import { microBatches } from './schedule.ts';

export interface Stage1Sizes {
  encoder: ViTOptions;
  decoder: DecoderOptions;
  /** The discriminator's trunk, where the configuration has a `gan`. */
  trunk?: ViTOptions | undefined;
  /** The network of LPIPS, where there is one. */
  lpips?: LpipsNetwork | undefined;
}

export type LpipsNetwork = keyof typeof CONVOLUTIONS;

export interface PhaseEstimate {
  /** Bytes at the worst moment. */
  memory: number;
  /** Operations of one step. */
  flops: number;
}

export interface Stage1Estimate {
  parameters: { decoder: number; encoder: number; lpips: number; trunk: number; heads: number };
  /** L1 and LPIPS. */
  reconstruction: PhaseEstimate;
  /** Both players, where the configuration has a `gan`. */
  adversarial: PhaseEstimate | undefined;
  /** Bytes of one checkpoint. */
  checkpoint: number;
}

export function estimateStage1(config: RunConfig, { encoder, decoder, trunk, lpips }: Stage1Sizes): Stage1Estimate {
  const { training, data, losses, gan, stage_1 } = config;
  const [B, m, S] = [training.global_batch_size, microBatches(config), data.image_size];
  const recompute = training.activation_checkpointing;
  const half = training.precision === 'bf16';
  const seen = (stage_1.params.encoder_input_size / encoder.patch) ** 2;
  const heads = gan && trunk ? headSizes(gan.disc.arch, trunk) : undefined;
  const parameters = {
    decoder: decoderParameters(decoder),
    encoder: vitParameters(encoder),
    lpips: lpips ? convolutionParameters(lpips) : 0,
    trunk: trunk ? vitParameters(trunk) : 0,
    heads: heads ? heads.count * headParameters(heads) : 0,
  };

  // ── memory ────────────────────────────────────────────
  const frozen = parameters.encoder + parameters.lpips + parameters.trunk;
  const weights = FLOAT * (frozen + 4 * parameters.decoder + 3 * parameters.heads); // with both moments, and the decoder's average
  const cast = half ? 2 * (parameters.decoder + Math.max(parameters.encoder, parameters.trunk)) : 0; // autocast's copies
  const pixels = FLOAT * 3 * S * S * (2 * B + 12 * m);
  const decoding = m * decoderActivations(decoder, recompute) * (half ? HALF : 1);
  const perceiving = lpips ? lpipsActivations(lpips, S, losses.gram > 0 ? m : undefined, m) : 0;
  const encoding = encodingBytes(encoder, { batch: m, tokens: seen });
  const gradients = FLOAT * parameters.decoder;
  const before = Math.max(encoding, decoding + perceiving, gradients + decoding / 2);
  const judged = (trunk && heads && m * discriminatorActivations(trunk, heads, S, gan!.disc.arch.resize)) ?? 0;
  const during = Math.max(before, decoding + judged * (half ? HALF : 1));
  const memory = (worst: number) => Math.round(PROCESS + weights + cast + pixels + SLACK * worst);

  // ── arithmetic ────────────────────────────────────────
  const encode = vitProducts(encoder, seen);
  const decode = decoderProducts(decoder);
  const perceive = lpips ? convolutionProducts(lpips, S) * ((losses.lpips > 0 ? 3 : 0) + (losses.gram > 0 ? 3 : 0)) : 0;
  const reconstruct = encode + decode * (recompute ? 4 : 3) + perceive; // forward, and backward as two of it
  const judge = trunk && heads ? judgeProducts(trunk, heads, S, gan!.disc.arch.resize) : 0;
  const again = B > m ? decode : 0; // micro-batches reconstruct twice, for the adaptive weight first
  return {
    parameters,
    reconstruction: { memory: memory(before), flops: 2 * B * reconstruct },
    adversarial: heads && { memory: memory(during), flops: 2 * B * (reconstruct + again + decode + judge) },
    checkpoint: FLOAT * (4 * parameters.decoder + 3 * parameters.heads),
  };
}

// ── networks of blocks ──────────────────────────────────

const prefix = ({ classToken = true, registers = 0 }: ViTOptions) => Number(classToken) + registers;
const feedForwardMaps = ({ feedForward = 'gelu' }: ViTOptions) => (feedForward === 'swiglu' ? 3 : 2);

export function vitParameters(o: ViTOptions): number {
  const { width: D, hidden, depth, patch, channels = 3, registers = 0 } = o;
  const maps = feedForwardMaps(o);
  const biases = 4 * D + (maps === 3 ? 2 * hidden : hidden) + D; // of qkv, proj and the feed-forward
  const block = 4 * D * D + maps * D * hidden + biases + 4 * D + (o.layerScale ? 2 * D : 0);
  const positions = o.positions === 'rotary' ? 0 : (o.grid[0] * o.grid[1] + Number(o.classToken ?? true)) * D;
  const norm = (o.finalNorm ?? 'affine') === 'affine' ? 2 * D : 0;
  return (
    depth * block +
    positions +
    prefix({ ...o, registers: 0 }) * D +
    registers * D +
    (channels * patch ** 2 + 1) * D +
    norm
  );
}

export function decoderParameters({ channels, width: D, depth, hidden, patch, tokens }: DecoderOptions): number {
  const layer = 4 * D * D + 2 * D * hidden + 4 * D + hidden + D + 4 * D;
  return depth * layer + (channels + 1) * D + (tokens + 2) * D + 2 * D + (D + 1) * 3 * patch ** 2;
}

/** Bytes at the worst moment of encoding a batch, with those of its pictures where their `side` is given. */
export function encodingBytes(
  o: ViTOptions,
  { batch, tokens, side = 0 }: { batch: number; tokens: number; side?: number },
): number {
  return batch * FLOAT * ((tokens + prefix(o)) * (8 * o.width + 2 * o.hidden) + 3 * side ** 2 * 2);
}

/** Multiply-adds of `tokens` patch tokens through a ViT. */
export function vitProducts(o: ViTOptions, tokens: number): number {
  const T = tokens + prefix(o);
  return tokens * 3 * o.patch ** 2 * o.width + o.depth * blockProducts(o.width, o.hidden, T, feedForwardMaps(o));
}

export function decoderProducts({ channels, width: D, depth, hidden, patch, tokens }: DecoderOptions): number {
  return tokens * (channels + 3 * patch ** 2) * D + depth * blockProducts(D, hidden, tokens + 1, 2);
}

export const blockProducts = (D: number, hidden: number, T: number, maps: number) =>
  T * (4 * D * D + maps * D * hidden + 2 * T * D);

/** Bytes that backward needs of one picture: inputs of norms, maps and attention, before and after the GELU. */
export function decoderActivations(
  { width: D, depth, hidden, tokens }: Pick<DecoderOptions, 'width' | 'depth' | 'hidden' | 'tokens'>,
  recompute: boolean,
): number {
  const layer = 8 * D + 2 * hidden;
  return FLOAT * (tokens + 1) * (recompute ? depth * D + layer : depth * layer);
}

// ── discriminator ───────────────────────────────────────

interface HeadSizes {
  count: number;
  width: number;
  kernel: number;
}

function headSizes(
  { key_depths, ks }: { key_depths?: number[] | undefined; ks: number },
  trunk: ViTOptions,
): HeadSizes {
  return { count: 1 + (key_depths?.length ?? Math.min(4, trunk.depth)), width: trunk.width, kernel: ks };
}

/** Trained numbers of one head: two convolutions with their norms, and that to one logit. */
const headParameters = ({ width: D, kernel }: HeadSizes) => (1 + kernel) * D * D + 2 * 3 * D + D + 1;

function trunkTokens({ grid, patch }: ViTOptions, S: number, resize: boolean): number {
  return resize ? grid[0] * grid[1] : (S / patch) ** 2;
}

/** Both players: the trunk forward and backward for the decoder, then forward for fake and real; the heads with gradients in all three. */
function judgeProducts(trunk: ViTOptions, heads: HeadSizes, S: number, resize: boolean): number {
  const tokens = trunkTokens(trunk, S, resize);
  return 4 * vitProducts(trunk, tokens) + 9 * heads.count * tokens * headParameters(heads);
}

/**
 * Bytes of one picture while the generator is judged: in the trunk a frozen map needs no input, a norm, a GELU and attention do; the heads
 * keep padded copies for their convolutions as well (measured).
 */
function discriminatorActivations(trunk: ViTOptions, heads: HeadSizes, S: number, resize: boolean): number {
  const tokens = trunkTokens(trunk, S, resize);
  const { width: D, hidden, depth } = trunk;
  return FLOAT * (depth * (tokens + prefix(trunk)) * (6 * D + hidden) + heads.count * tokens * 16 * D);
}

// ── networks of convolutions ────────────────────────────

type Convolution = readonly [inputs: number, outputs: number, kernel: number, stride: number];

const fire = (inputs: number, squeezed: number, expanded: number, stride: number): Convolution[] => [
  [inputs, squeezed, 1, stride],
  [squeezed, expanded, 1, stride],
  [squeezed, expanded, 3, stride],
];

/** Convolutions of the networks of LPIPS: stride is pixels of the picture for a position of the output; channels that are compared. */
const CONVOLUTIONS = {
  squeeze: {
    compared: 64 + 128 + 256 + 384 + 384 + 512 + 512,
    largest: 64 / 4,
    layers: [
      [3, 64, 3, 2],
      ...fire(64, 16, 64, 4),
      ...fire(128, 16, 64, 4),
      ...fire(128, 32, 128, 8),
      ...fire(256, 32, 128, 8),
      ...fire(256, 48, 192, 16),
      ...fire(384, 48, 192, 16),
      ...fire(384, 64, 256, 16),
      ...fire(512, 64, 256, 16),
    ],
  },
  vgg: {
    compared: 64 + 128 + 256 + 512 + 512,
    largest: 64,
    layers: [
      ...([
        [3, 64, 3, 1],
        [64, 64, 3, 1],
        [64, 128, 3, 2],
        [128, 128, 3, 2],
        [128, 256, 3, 4],
      ] as Convolution[]),
      ...([
        [256, 256, 3, 4],
        [256, 256, 3, 4],
        [256, 512, 3, 8],
        [512, 512, 3, 8],
        [512, 512, 3, 8],
      ] as Convolution[]),
      ...([
        [512, 512, 3, 16],
        [512, 512, 3, 16],
        [512, 512, 3, 16],
      ] as Convolution[]),
    ],
  },
  alex: {
    compared: 64 + 192 + 384 + 256 + 256,
    largest: 64 / 16,
    layers: [
      [3, 64, 11, 4],
      [64, 192, 5, 8],
      [192, 384, 3, 16],
      [384, 256, 3, 16],
      [256, 256, 3, 16],
    ],
  },
} as const satisfies Record<string, { compared: number; largest: number; layers: readonly Convolution[] }>;

/** Numbers of the network and of the heads. */
export function convolutionParameters(network: LpipsNetwork): number {
  const { layers, compared } = CONVOLUTIONS[network];
  return sum(layers, ([inputs, outputs, kernel]) => outputs * (inputs * kernel ** 2 + 1)) + compared;
}

function convolutionProducts(network: LpipsNetwork, S: number): number {
  const { layers } = CONVOLUTIONS[network];
  return sum(layers, ([inputs, outputs, kernel, stride]) => (S / stride) ** 2 * inputs * outputs * kernel ** 2);
}

/** Bytes of LPIPS, which takes the batch in pieces of 2^22 numbers in the largest activation; of the Gram loss, whose graph is of all of it. */
function lpipsActivations(network: LpipsNetwork, S: number, gramOf: number | undefined, m: number): number {
  const { layers, largest } = CONVOLUTIONS[network];
  const piece = Math.min(m, Math.max(1, Math.floor(2 ** 22 / (largest * S * S))));
  const outputs = sum(layers, ([, outputs, , stride]) => outputs * (S / stride) ** 2); // of one picture
  return FLOAT * outputs * (5 * piece + 2 * (gramOf ?? 0));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

export const FLOAT = 4; // bytes
export const HALF = 0.7; // of the activations' bytes under autocast: norms and residuals stay float32
export const PROCESS = 260e6; // Node, libtorch and the decoding of pictures before the first step (measured)
export const SLACK = 1.25; // temporaries of backward, and what the allocator holds on to (measured)
