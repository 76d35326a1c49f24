// What stage 2 will take, as estimate.ts says it of stage 1: parameters exactly, arithmetic of the products, memory of a process on CPUs within
// a quarter of what was measured at the sizes of estimate-dit.test.ts.
// D width, N tokens of the head (or of all), M of the encoder, C channels.

import type { RunConfig, Stage2Config } from '../config/index.ts';
import type { DecoderOptions } from '../models/decoder.ts';
import { swigluHidden } from '../models/layers/swiglu.ts';
import type { ViTOptions } from '../models/vit.ts';
import {
  blockProducts,
  decoderParameters,
  encodingBytes,
  FLOAT,
  HALF,
  type PhaseEstimate,
  PROCESS,
  SLACK,
  vitParameters,
  vitProducts,
} from './estimate.ts';
import { microBatches } from './schedule.ts';

export interface Stage2Sizes {
  encoder: ViTOptions;
  decoder: DecoderOptions;
  /** Of the RAE: [C, h, w]. */
  latent: readonly [number, number, number];
  /** 0: unconditional. */
  classes: number;
}

export interface Stage2Estimate {
  parameters: { generator: number; encoder: number; decoder: number };
  step: PhaseEstimate;
  /** Bytes of one checkpoint. */
  checkpoint: number;
}

/** One stack of blocks: the whole of LightningDiT, the encoder or the head of DiT^DH. */
interface Stack {
  width: number;
  heads: number;
  depth: number;
  tokens: number;
  patch: number;
  /** Rows of the modulation: one a picture, or one a token. */
  rows: number;
}

export function estimateStage2(config: RunConfig, sizes: Stage2Sizes): Stage2Estimate {
  const { training, data } = config;
  const [B, m] = [training.global_batch_size, microBatches(config)];
  const { encoder, decoder, latent } = sizes;
  const [C, h, w] = latent;
  const cached = data.latents !== undefined;
  const recompute = training.activation_checkpointing;
  const half = training.precision === 'bf16';
  const model = config.stage_2!;
  const stacks = stacksOf(model, latent);
  const parameters = {
    generator: generatorParameters(model, sizes),
    encoder: vitParameters(encoder),
    decoder: decoderParameters(decoder),
  };

  // ── memory ────────────────────────────────────────────
  const copies = 4 + training.ema_decays.length; // weights, both moments, the average, and further ones
  const weights = FLOAT * ((cached ? 0 : parameters.encoder) + parameters.decoder + copies * parameters.generator);
  const cast = half ? 2 * parameters.generator : 0; // autocast's copies
  const seen = (config.stage_1.params.encoder_input_size / encoder.patch) ** 2;
  const encoding = cached ? 0 : encodingBytes(encoder, { batch: B, tokens: seen, side: data.image_size });
  const latents = FLOAT * B * C * h * w * 4; // latent, noise, mixture, target
  const activations = sum(stacks, (stack) => stackActivations(model, stack, recompute));
  const backward = m * activations * (half ? HALF : 1) + FLOAT * parameters.generator; // and the gradients
  const decoding = data.path === undefined ? 0 : DECODING;
  const memory = Math.round(PROCESS + decoding + weights + cast + latents + SLACK * Math.max(encoding, backward));

  // ── arithmetic ────────────────────────────────────────
  const seenProducts = cached ? 0 : vitProducts(encoder, seen);
  const generate = sum(stacks, (stack) => stackProducts(model, stack, C));
  const flops = 2 * B * (seenProducts + generate * (recompute ? 4 : 3)); // forward, and backward as two of it
  return { parameters, step: { memory, flops }, checkpoint: FLOAT * copies * parameters.generator };
}

/** Trained numbers of a generator. */
export function generatorParameters(
  model: Stage2Config,
  { latent, classes }: Pick<Stage2Sizes, 'latent' | 'classes'>,
): number {
  const { params } = model;
  const [C] = latent;
  const stacks = stacksOf(model, latent);
  const [first, last] = [stacks[0]!, stacks.at(-1)!];
  const double = stacks.length > 1;
  const D = first.width;
  const time = 256 + 512 * D + D + D * D + D;
  const labels = classes === 0 ? 0 : (classes + (params.class_dropout_prob > 0 ? 1 : 0)) * D;
  const positions = !('use_pos_embed' in params) || params.use_pos_embed ? first.tokens * D : 0;
  const projector = double && D !== last.width ? (D + 1) * last.width : 0;
  const outputs = last.patch ** 2 * C * ('learn_sigma' in params && params.learn_sigma ? 2 : 1);
  const final = (params.use_rmsnorm ? last.width : 0) + (last.width + 1) * outputs + 2 * last.width * (last.width + 1);
  const embedded = sum(stacks, ({ width, patch }) => (C * patch ** 2 + 1) * width);
  const blocks = sum(stacks, (stack) => stack.depth * blockParameters(model, stack));
  return time + labels + positions + projector + final + embedded + blocks;
}

function stacksOf({ params }: Stage2Config, [, h, w]: readonly [number, number, number]): Stack[] {
  const [patch, headPatch = patch] = [params.patch_size].flat() as [number, number?];
  const tokens = (p: number) => (h / p) * (w / p);
  const [width, headWidth] = [params.hidden_size].flat() as [number, number?];
  const [depth, headDepth = 0] = [params.depth].flat() as [number, number?];
  const [heads, headHeads = 0] = [params.num_heads].flat() as [number, number?];
  const first = { width, heads, depth, tokens: tokens(patch), patch, rows: 1 };
  if (headWidth === undefined) return [first];
  const head = tokens(headPatch);
  const second = { width: headWidth, heads: headHeads, depth: headDepth, tokens: head, patch: headPatch, rows: head };
  return [first, second];
}

function hiddenOf({ params }: Stage2Config, D: number): number {
  return params.use_swiglu ? swigluHidden(D, params.mlp_ratio) : Math.floor(D * params.mlp_ratio);
}

function blockParameters(model: Stage2Config, { width: D, heads }: Stack): number {
  const { use_swiglu, use_rmsnorm, use_qknorm, wo_shift } = model.params;
  const H = hiddenOf(model, D);
  const maps = use_swiglu ? (D + 1) * 2 * H + (H + 1) * D : (D + 1) * H + (H + 1) * D;
  const norms = (use_rmsnorm ? 2 * D : 0) + (use_qknorm ? 2 * (D / heads) * (use_rmsnorm ? 1 : 2) : 0);
  return (D + 1) * 3 * D + (D + 1) * D + maps + norms + (D + 1) * (wo_shift ? 4 : 6) * D;
}

/** Multiply-adds of one picture. */
function stackProducts(model: Stage2Config, { width: D, depth, tokens, patch, rows }: Stack, C: number): number {
  const modulation = rows * (model.params.wo_shift ? 4 : 6) * D * D;
  const block = blockProducts(D, hiddenOf(model, D), tokens, model.params.use_swiglu ? 3 : 2) + modulation;
  return depth * block + tokens * 2 * C * patch ** 2 * D; // embedding, and as much for the last layer
}

/** Bytes that backward needs of one picture: what norms, maps, attention, gates and modulation went in by. */
function stackActivations(model: Stage2Config, { width: D, depth, tokens, rows }: Stack, recompute: boolean): number {
  const H = hiddenOf(model, D);
  const layer = tokens * (10 * D + (model.params.use_swiglu ? 3 : 2) * H) + rows * 6 * D;
  return FLOAT * (recompute ? depth * tokens * D + layer : depth * layer);
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

const DECODING = 150e6; // bytes: decoding of photographs while others are encoded (measured)
