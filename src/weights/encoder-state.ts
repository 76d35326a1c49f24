// From the tensors of a file to an encoder: which layout it is, what sizes it has, and the translation of its names.
// Sizes are read off the tensors; only what shapes cannot tell (heads, epsilon) comes from a config.json or the family's default.

import { dinoRecipes } from '../models/dino-trunk.ts';
import { Encoder, type EncoderOptions, type EncoderSpec, encoders } from '../models/encoders/index.ts';
import { squareSide } from '../models/layers/patches.ts';
import { type Shaped, type StateDict, skipInit } from '../nn/index.ts';
import { type Tensor, tidy } from '../tensor/index.ts';
import { WeightsError } from '../util/errors.ts';
import { type Joiner, type KeyTable, shapeJoiner, tensorJoiner, translate } from './key-table.ts';
import { dinov2Table, dinov3GatedTable, dinov3Table, maeTable, siglipTable } from './vit-tables.ts';

/** What the tensors do not say. */
export interface EncoderHints extends EncoderOptions {
  /** Attention heads; width / 64 when left out, as every published encoder has it. */
  heads?: number | undefined;
  eps?: number | undefined;
  mean?: readonly number[] | undefined;
  std?: readonly number[] | undefined;
  /** Longest period of rotary positions (DINOv3: 100). */
  ropeBase?: number | undefined;
  /** Blocks whose tokens are averaged (RAEv2), instead of the last one's alone. */
  layers?: readonly number[] | undefined;
  /** With `layers`: add the mean token of the last of them; RAEv2 does for DINOv3 and SigLIP2, so the default. */
  addMean?: boolean | undefined;
}

interface Layout {
  family: keyof typeof encoders;
  /** What stands before the names the table knows. */
  prefix: string;
  table: KeyTable;
}

/** timm's names are ours. */
const timmTable: KeyTable = { name: 'ViT (timm)', stems: {}, ignored: [/^head(_dist)?\./, /^mask_token$/] };

const anchors: readonly [anchor: string, table: KeyTable, family: Layout['family']][] = [
  ['embeddings.patch_embeddings.projection.weight', dinov2Table, 'dinov2'],
  ['embeddings.patch_embeddings.weight', dinov3Table, 'dinov3'],
  ['embeddings.patch_embedding.weight', siglipTable, 'siglip2'],
  ['patch_embed.proj.weight', timmTable, 'deit'],
];

/** Recognises the layout by its keys. WeightsError when none of the known ones fits. */
export function detectLayout(keys: Iterable<string>): Layout {
  const all = [...keys];
  for (const [anchor, table, family] of anchors) {
    const key = all.find((name) => name === anchor || name.endsWith(`.${anchor}`));
    if (key === undefined) continue;
    const prefix = key.slice(0, -anchor.length);
    const gated = family === 'dinov3' && all.includes(`${prefix}layer.0.mlp.gate_proj.weight`);
    if (gated) return { family, prefix, table: dinov3GatedTable };
    const isMae = family === 'dinov2' && !all.includes(`${prefix}encoder.layer.0.layer_scale1.lambda1`);
    return isMae ? { family: 'mae', prefix, table: maeTable } : { family, prefix, table };
  }
  const known = anchors.map(([anchor]) => `'${anchor}'`).join(', ');
  throw new WeightsError(
    `loadEncoder: expected the tensors of a ViT (one of ${known}), received ${all.length} keys, the first '${all[0]}'. ` +
      'Give a Hugging Face folder, a timm file, or one written by rae train encoder.',
  );
}

/** The translated entries of the layout: what lies outside its prefix (text towers, decoders) is left out. */
export function adaptEncoderState<T>(layout: Layout, state: ReadonlyMap<string, T>, joiner: Joiner<T>): Map<string, T> {
  const { prefix, table } = layout;
  const inside = new Map(
    [...state].filter(([key]) => key.startsWith(prefix)).map(([key, t]) => [key.slice(prefix.length), t]),
  );
  return translate(table, inside, joiner);
}

/** Sizes of the encoder whose translated tensors these are. */
export function inferSpec(
  family: Layout['family'],
  state: ReadonlyMap<string, Shaped>,
  hints: EncoderHints = {},
): EncoderSpec {
  const shape = (key: string): readonly number[] => {
    const found = state.get(key)?.shape;
    if (!found)
      throw new WeightsError(`loadEncoder: expected the key '${key}', received none. The file is incomplete.`);
    return found;
  };
  const [width = 0, , patch = 0] = shape('patch_embed.proj.weight');
  const depth = new Set([...state.keys()].flatMap((key) => /^blocks\.(\d+)\./.exec(key)?.[1] ?? [])).size;
  const swiglu = state.has('blocks.0.mlp.w12.weight');
  const hidden = swiglu ? shape('blocks.0.mlp.w12.weight')[0]! / 2 : shape('blocks.0.mlp.fc1.weight')[0]!;
  const registers = state.get('reg_token')?.shape[1] ?? 0;
  const imageSize = state.has('pos_embed')
    ? squareSide('loadEncoder: position table', shape('pos_embed').at(-2)! - Number(state.has('cls_token'))) * patch
    : undefined; // rotary positions fit any
  const spec = encoders[family]({
    width,
    depth,
    heads: hints.heads ?? Math.max(1, Math.round(width / 64)),
    hidden,
    patch,
    ...(imageSize !== undefined && { imageSize }),
    registers,
    swiglu,
    ...(hints.eps !== undefined && { eps: hints.eps }),
    ...(hints.ropeBase !== undefined && { ropeBase: hints.ropeBase }),
    normalize: hints.normalize ?? true,
  });
  return withHints(spec, hints);
}

/** The specification with what the caller says of pixels and layers. */
export function withHints(spec: EncoderSpec, { mean, std, layers, addMean }: EncoderHints): EncoderSpec {
  const chosen = layers ?? spec.layers;
  const byFamily = spec.family === 'dinov3' || spec.family === 'siglip2';
  return {
    ...spec,
    mean: mean ?? spec.mean,
    std: std ?? spec.std,
    ...(chosen && { layers: chosen, addMean: addMean ?? spec.addMean ?? byFamily }),
  };
}

/** The encoder whose tensors, in any layout we know, have these shapes. WeightsError for an unknown layout and missing keys. */
export function specFromState(state: ReadonlyMap<string, Shaped>, hints: EncoderHints = {}): EncoderSpec {
  const layout = detectLayout(state.keys());
  const family = layout.family === 'deit' && isDino(state) ? 'dino' : layout.family;
  return inferSpec(family, adaptEncoderState(layout, state, shapeJoiner), hints);
}

/**
 * Builds an encoder from the tensors of a file in any layout we know. The tensors are copied; the caller frees his.
 * @throws WeightsError for an unknown layout, and for missing, unexpected and mis-shaped keys
 */
export function encoderFromState(state: ReadonlyMap<string, Tensor>, hints: EncoderHints = {}): Encoder {
  const spec = specFromState(state, hints);
  const encoder = skipInit(() => new Encoder(spec));
  loadEncoderState(encoder, state);
  return encoder.eval().requiresGrad_(false);
}

/** DINO's published files: a ViT in timm's names, of one of its sizes, without a classifier. */
export function isDino(state: ReadonlyMap<string, Shaped>): boolean {
  const [width, , patch] = state.get('patch_embed.proj.weight')?.shape ?? [];
  const keys = [...state.keys()];
  const depth = keys.filter((key) => /^blocks\.\d+\.norm1\.weight$/.test(key)).length;
  const sizes = Object.values(dinoRecipes).some((r) => r.width === width && r.patch === patch && r.depth === depth);
  return sizes && !keys.some((key) => key.startsWith('head'));
}

/** Loads tensors in any layout we know into an encoder of the same sizes. */
export function loadEncoderState(encoder: Encoder, state: ReadonlyMap<string, Tensor>): void {
  const layout = detectLayout(state.keys());
  tidy(() => encoder.vit.loadStateDict(fitting(encoder, adaptEncoderState(layout, state, tensorJoiner))));
}

/** Leaves out the final norm's weight and bias where the encoder has none, and gives SigLIP's position table its batch axis. */
function fitting(encoder: Encoder, state: StateDict): StateDict {
  const plain = encoder.spec.vit.finalNorm !== 'affine';
  const kept = [...state].filter(([key]) => !(plain && key.startsWith('norm.')));
  return new Map(kept.map(([key, t]) => [key, key === 'pos_embed' && t.ndim === 2 ? t.unsqueeze(0) : t]));
}
