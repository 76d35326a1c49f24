// Checkpoints of the reference implementation (bytetriper/RAE; spec 1.3): the decoder's flat state dict, and the whole RAE of a
// stage-1 training checkpoint (`encoder.encoder.*` or `encoder.model.*`, `decoder.*`).

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Decoder, DecoderOptions } from '../models/decoder.ts';
import type { Rae } from '../models/rae.ts';
import type { KeyReport } from '../nn/index.ts';
import { type Tensor, tidy } from '../tensor/index.ts';
import { ConfigError } from '../util/errors.ts';
import { readJsonObject } from '../util/json.ts';
import { decoderFromDiffusers, diffusersPositions, isDiffusersDecoder } from './diffusers.ts';
import { loadEncoderState } from './encoder-state.ts';
import { below, stripWrappers } from './key-table.ts';

/** The decoder's part of a file: flat or below `decoder.`, with or without wrappers' prefixes, also under diffusers' names. */
export function decoderState<T>(state: ReadonlyMap<string, T>): Map<string, T> {
  const plain = stripWrappers(state);
  const inner = below(plain, 'decoder.');
  return decoderFromDiffusers(inner.size > 0 ? inner : plain);
}

/** Sizes of a decoder under the names of its config.json. */
export interface DecoderSizes {
  decoder_hidden_size: number;
  decoder_num_hidden_layers: number;
  decoder_num_attention_heads: number;
  decoder_intermediate_size: number;
  layer_norm_eps: number;
}

/**
 * Loads a decoder's state dict as `decoderState` finds it. diffusers' files have no position table: the one that it computes is used.
 * Differs from the reference, which loads this file non-strictly: a key that is missing or left over is an error.
 */
export function loadDecoderState(decoder: Decoder, state: ReadonlyMap<string, Tensor>): KeyReport {
  const inner = decoderState(state);
  if (inner.has('decoder_pos_embed') || !isDiffusersDecoder(state.keys())) return decoder.loadStateDict(inner);
  const { width, tokens } = decoder.options;
  return tidy(() =>
    decoder.loadStateDict(inner.set('decoder_pos_embed', diffusersPositions(width, Math.sqrt(tokens)))),
  );
}

/**
 * The file that the reference's trainer would go on from: the state after the last epoch, else the highest number.
 * Differs from the reference, which cannot parse its own ep-last.pt.
 */
export function newestCheckpoint(names: readonly string[]): string | undefined {
  const last = names.find((name) => /^(ep-)?last\.pt$/.test(name));
  const numbered = names.flatMap((name) => {
    const number = /^(?:ep-)?(\d+)\.pt$/.exec(name)?.[1];
    return number === undefined ? [] : [[Number(number), name] as const];
  });
  return last ?? numbered.toSorted(([a], [b]) => b - a)[0]?.[1];
}

/** Loads the whole RAE of a stage-1 training checkpoint (its `model` or `ema`). */
export function loadRaeState(rae: Rae, state: ReadonlyMap<string, Tensor>): void {
  const plain = stripWrappers(state);
  loadEncoderState(rae.encoder, below(plain, 'encoder.'));
  rae.decoder.loadStateDict(below(plain, 'decoder.'));
}

/** The sizes in a folder's config.json, or undefined where there is none. ConfigError when it is no decoder's. */
export function readDecoderConfig(folder: string): DecoderSizes | undefined {
  const file = join(folder, 'config.json');
  if (!existsSync(file)) return undefined;
  const { width, depth, heads, hidden, eps } = decoderOptions(readJsonObject(file), {
    channels: 1,
    patch: 1,
    tokens: 1,
  });
  return {
    decoder_hidden_size: width,
    decoder_num_hidden_layers: depth,
    decoder_num_attention_heads: heads,
    decoder_intermediate_size: hidden,
    layer_norm_eps: eps ?? 1e-12,
  };
}

/** The reference's decoder configuration (ViTB, ViTL, ViTXL/config.json) as our options; what it says of sizes that the RAE sets is left out. */
export function decoderOptions(
  config: Readonly<Record<string, unknown>>,
  set: Pick<DecoderOptions, 'channels' | 'patch' | 'tokens'>,
): DecoderOptions {
  const number = (key: string, fallback?: number): number => {
    const value = config[key] ?? fallback;
    if (typeof value === 'number') return value;
    throw new ConfigError(
      `decoderOptions: expected a number for '${key}', received ${String(value)}. Check the decoder's config.json.`,
    );
  };
  if (config.hidden_act !== undefined && config.hidden_act !== 'gelu') {
    throw new ConfigError(
      `decoderOptions: expected hidden_act 'gelu', received '${config.hidden_act}'. The decoder has no other.`,
    );
  }
  return {
    ...set,
    width: number('decoder_hidden_size'),
    depth: number('decoder_num_hidden_layers'),
    heads: number('decoder_num_attention_heads'),
    hidden: number('decoder_intermediate_size'),
    eps: number('layer_norm_eps', 1e-12),
  };
}
