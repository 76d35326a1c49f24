// An encoder's tensors under our names as a file has them, and the way back to Hugging Face's names and configuration: for conversion,
// which keeps dtypes and what the model has no use for (the final norm's weight and bias, DINOv2's mask token).

import { loadTensorFile } from '../io/tensor-file.ts';
import type { EncoderSpec } from '../models/encoders/index.ts';
import type { Shaped } from '../nn/index.ts';
import { dispose, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { adaptEncoderState, detectLayout, type EncoderHints, inferSpec } from './encoder-state.ts';
import { type KeyTable, shapeJoiner, tensorJoiner, translateBack } from './key-table.ts';
import { locateEncoder } from './load-encoder.ts';
import { dinov2Table, maeTable, siglipTable } from './vit-tables.ts';

export interface EncoderTensors {
  spec: EncoderSpec;
  /** Under our names, with `mask_token` where the file has one. Borrowed. */
  state: ReadonlyMap<string, Tensor>;
}

/** Runs `use` with the tensors of the encoder that `path` names. `hints` override what its files say. */
export function withEncoderTensors<T>(path: string, hints: EncoderHints, use: (encoder: EncoderTensors) => T): T {
  const found = locateEncoder(path);
  const tensors = loadTensorFile(found.file, { mmap: true });
  const given = Object.entries(hints).filter(([, value]) => value !== undefined);
  const all: EncoderHints = { ...found.hints, ...Object.fromEntries(given) };
  try {
    return tidy(() => {
      const layout = detectLayout(tensors.keys());
      const state = adaptEncoderState(layout, tensors, tensorJoiner);
      const mask = tensors.get(`${layout.prefix}embeddings.mask_token`) ?? tensors.get(`${layout.prefix}mask_token`);
      const shapes = adaptEncoderState<Shaped>(layout, tensors, shapeJoiner);
      const inferred = found.saved ?? inferSpec(layout.family, shapes, all);
      const spec = { ...inferred, mean: all.mean ?? inferred.mean, std: all.std ?? inferred.std };
      const table = state.get('pos_embed');
      if (table?.ndim === 2) state.set('pos_embed', table.unsqueeze(0)); // SigLIP's has no batch axis
      if (mask !== undefined) state.set('mask_token', mask);
      return use({ spec, state });
    });
  } finally {
    dispose(tensors);
  }
}

interface Family {
  table: KeyTable;
  /** In front of the names in a Hugging Face file of the published model, and in the reference's whole RAE. */
  file: string;
  reference: string;
  encoderClass: string;
}

/** The families that the reference and diffusers know. */
const FAMILIES: Readonly<Record<string, Family>> = {
  dinov2: { table: dinov2Table, file: '', reference: 'encoder.encoder.', encoderClass: 'Dinov2withNorm' },
  siglip2: { table: siglipTable, file: 'vision_model.', reference: 'encoder.model.', encoderClass: 'SigLIP2wNorm' },
  mae: { table: maeTable, file: 'vit.', reference: 'encoder.model.', encoderClass: 'MAEwNorm' },
};

/** What others call the encoder's family. WeightsError when they have none like it. */
export function familyOf({ family }: EncoderSpec): Family {
  const found = FAMILIES[family];
  if (found) return found;
  const next = 'Nothing else reads another encoder: convert the decoder alone with --part decoder.';
  throw new WeightsError(expected('convert', 'an encoder of DINOv2, SigLIP2 or MAE', family, next));
}

/** The tensors under Hugging Face's names, each behind `prefix`. Views of the given ones. */
export function encoderToHuggingFace({ spec, state }: EncoderTensors, prefix: string): Map<string, Tensor> {
  const mask = state.get('mask_token');
  const rest = new Map([...state].filter(([key]) => key !== 'mask_token'));
  const positions = rest.get('pos_embed');
  if (spec.family === 'siglip2' && positions?.ndim === 3) rest.set('pos_embed', positions.squeeze(0));
  const theirs = [...translateBack(familyOf(spec).table, rest)];
  if (mask !== undefined) theirs.push(['embeddings.mask_token', mask]);
  return new Map(theirs.map(([key, t]) => [prefix + key, t]));
}

/** config.json and preprocessor_config.json of a Hugging Face folder with this encoder. */
export function huggingFaceConfig({ family, vit, mean, std }: EncoderSpec): { config: object; pixels: object } {
  const { width, depth, heads, hidden, patch, grid, registers = 0, feedForward = 'gelu', eps = 1e-6 } = vit;
  const side = grid[0] * patch;
  const common = {
    hidden_size: width,
    num_hidden_layers: depth,
    num_attention_heads: heads,
    patch_size: patch,
    image_size: side,
    num_channels: 3,
    layer_norm_eps: eps,
    hidden_act: feedForward === 'gelu_pytorch_tanh' ? feedForward : 'gelu',
  };
  const pixels = (type: string) => ({
    image_processor_type: type,
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
    size: { height: side, width: side },
    image_mean: mean,
    image_std: std,
  });
  if (family === 'siglip2') {
    const vision = { ...common, model_type: 'siglip_vision_model', intermediate_size: hidden };
    return {
      config: { architectures: ['SiglipModel'], model_type: 'siglip', vision_config: vision },
      pixels: pixels('SiglipImageProcessor'),
    };
  }
  if (family === 'mae') {
    const config = { ...common, model_type: 'vit_mae', intermediate_size: hidden, qkv_bias: true };
    return {
      config: { architectures: ['ViTMAEForPreTraining'], ...config },
      pixels: pixels('ViTImageProcessor'),
    };
  }
  const swiglu = feedForward === 'swiglu';
  const [type, name] =
    registers > 0 ? ['dinov2_with_registers', 'Dinov2WithRegistersModel'] : ['dinov2', 'Dinov2Model'];
  return {
    config: {
      architectures: [name],
      model_type: type,
      ...common,
      mlp_ratio: swiglu ? 4 : hidden / width,
      use_swiglu_ffn: swiglu,
      qkv_bias: true,
      layerscale_value: 1,
      ...(registers > 0 && { num_register_tokens: registers }),
    },
    pixels: pixels('BitImageProcessor'),
  };
}
