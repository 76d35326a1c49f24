// What the pretraining of an encoder (masked autoencoder) will take, as estimate.ts says it of stage 1.
// N patches, of which K are seen.

import type { RunConfig } from '../config/index.ts';
import type { ViTOptions } from '../models/vit.ts';
import {
  decoderActivations,
  decoderParameters,
  decoderProducts,
  FLOAT,
  HALF,
  type PhaseEstimate,
  PROCESS,
  SLACK,
  vitParameters,
  vitProducts,
} from './estimate.ts';

export interface EncoderEstimate {
  parameters: { encoder: number; decoder: number };
  step: PhaseEstimate;
  /** Bytes of one checkpoint. */
  checkpoint: number;
}

export function estimateEncoder({ mae, data, training }: RunConfig): EncoderEstimate {
  const section = mae!;
  const [B, S] = [training.global_batch_size, data.image_size];
  const side = S / section.patch_size;
  const tokens = side ** 2; // N
  const seen = Math.floor(tokens * (1 - section.mask_ratio)); // K
  const encoder: ViTOptions = {
    width: section.hidden_size,
    depth: section.num_hidden_layers,
    heads: section.num_attention_heads,
    hidden: section.intermediate_size,
    patch: section.patch_size,
    grid: [side, side],
  };
  const decoder = {
    channels: section.hidden_size,
    width: section.decoder_hidden_size,
    depth: section.decoder_num_hidden_layers,
    heads: section.decoder_num_attention_heads,
    hidden: section.decoder_intermediate_size,
    patch: section.patch_size,
    tokens,
  };
  const parameters = { encoder: vitParameters(encoder), decoder: decoderParameters(decoder) };
  const trained = parameters.encoder + parameters.decoder;
  const graph = decoderActivations({ ...encoder, tokens: seen }, false) + decoderActivations(decoder, false);
  const pixels = FLOAT * 3 * S * S * 6 * B; // bytes, floats, patches, targets, predictions, their difference
  const worst = B * graph * (training.precision === 'bf16' ? HALF : 1) + FLOAT * trained;
  const memory = Math.round(PROCESS + FLOAT * 4 * trained + pixels + SLACK * worst);
  const flops = 2 * B * 3 * (vitProducts(encoder, seen) + decoderProducts(decoder));
  return { parameters, step: { memory, flops }, checkpoint: FLOAT * 4 * trained };
}
