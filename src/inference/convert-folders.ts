// The three folders that a whole model can be: ours (inference/model-folder.ts), the reference's files beside a configuration that names
// them (spec 1.1), and diffusers' AutoencoderRAE (spec 14.1).

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Document } from 'yaml';
import { formatConfig, type RunConfig, resolveConfig } from '../config/index.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import type { DecoderOptions } from '../models/decoder.ts';
import { ones, type Tensor, tensor, tidy, zeros } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, WeightsError } from '../util/errors.ts';
import {
  DIFFUSERS_ENCODERS,
  DIFFUSERS_EPS,
  DIFFUSERS_WEIGHTS,
  decoderToDiffusers,
  diffusersPositions,
  type EncoderTensors,
  encoderToHuggingFace,
  familyOf,
  huggingFaceConfig,
  saveEncoderTensors,
} from '../weights/index.ts';
import { decoderSizes } from './build.ts';
import { type ConvertSource, type Tensors, withEncoder, withPart } from './convert-source.ts';
import { prepared, type WriteOptions, writePart } from './convert-write.ts';
import type { ModelParts } from './model-folder.ts';
import { withStatistics } from './parts-tensors.ts';

/** A folder of ours with final weights: configuration, encoder, decoder, statistics, generator. */
export function fillOwn(folder: string, source: ConvertSource, options: WriteOptions): void {
  const parts = source.parts!;
  withEncoder(parts, (encoder) => {
    saveEncoderTensors(join(folder, 'encoder.safetensors'), prepared(encoder.state, options), encoder.spec);
    const sizes = decoderOf(parts, encoder);
    const rae = portable(parts.raeConfig, sizes);
    const same = parts.config === parts.raeConfig;
    writeFileSync(join(folder, 'config.yaml'), formatConfig(same ? rae : portable(parts.config, sizes)));
    if (!same) writeFileSync(join(folder, 'rae.yaml'), formatConfig(rae));
  });
  withPart(source, 'decoder', (state) =>
    saveSafetensors(join(folder, 'decoder.safetensors'), prepared(state, options)),
  );
  // diffusers' two moments stay as they are: loadStatistics knows them, and the way back loses nothing.
  if (parts.stats !== undefined)
    withStatistics(parts.stats, (moments) => saveSafetensors(join(folder, 'stats.safetensors'), moments));
  if (parts.dit !== undefined)
    withPart(source, 'dit', (state) => saveSafetensors(join(folder, 'dit.safetensors'), prepared(state, options)));
  if (parts.classes !== undefined) writeFileSync(join(folder, 'classes.json'), `${JSON.stringify(parts.classes)}\n`);
}

/** A configuration without paths to elsewhere: what it named lies beside it. */
function portable(config: RunConfig, decoder: DecoderOptions): RunConfig {
  const { params } = config.stage_1;
  const { dinov2_path: _, model_name: __, ...encoder_params } = params.encoder_params;
  const { pretrained_decoder_path: _p, normalization_stat_path: _n, ...kept } = params;
  const { ckpt: _c, ...stage_2 } = config.stage_2 ?? {};
  return resolveConfig({
    ...config,
    stage_1: {
      target: config.stage_1.target,
      params: {
        ...kept,
        encoder_params,
        encoder_config_path: 'encoder.safetensors',
        decoder_config_path: 'vit_mae-base',
        decoder_config: decoderJson(decoder),
      },
    },
    ...(config.stage_2 && { stage_2 }),
  } as Parameters<typeof resolveConfig>[0]);
}

function decoderOf(parts: ModelParts, { spec }: EncoderTensors): DecoderOptions {
  return decoderSizes(parts.raeConfig, { width: spec.vit.width, patch: spec.vit.patch });
}

function decoderJson({ width, depth, heads, hidden, eps = 1e-12 }: DecoderOptions) {
  return {
    decoder_hidden_size: width,
    decoder_num_hidden_layers: depth,
    decoder_num_attention_heads: heads,
    decoder_intermediate_size: hidden,
    layer_norm_eps: eps,
  };
}

// ── reference ─────────────────────────────────────────

/** config.yaml, encoder/ and decoder/ with their config.json, model.pt, stat.pt and stage2_model.pt, as the reference's scripts take them. */
export function fillReference(folder: string, source: ConvertSource, options: WriteOptions): void {
  const parts = source.parts!;
  for (const name of ['encoder', 'decoder']) mkdirSync(join(folder, name));
  const json = (name: string, value: object) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  withEncoder(parts, (encoder) => {
    const family = familyOf(encoder.spec);
    const { config, pixels } = huggingFaceConfig(encoder.spec);
    json('encoder/config.json', config);
    json('encoder/preprocessor_config.json', pixels);
    const theirs = encoderToHuggingFace(encoder, family.file);
    saveSafetensors(join(folder, 'encoder/model.safetensors'), prepared(theirs, options), { format: 'pt' });
    json('decoder/config.json', {
      architectures: ['ViTMAEForPreTraining'],
      model_type: 'vit_mae',
      ...decoderJson(decoderOf(parts, encoder)),
      hidden_act: 'gelu',
      hidden_size: encoder.spec.vit.width,
      num_channels: 3,
      qkv_bias: true,
    });
    const config_yaml = referenceConfig(parts, family.encoderClass);
    writeFileSync(join(folder, 'config.yaml'), new Document(config_yaml, { version: '1.1' }).toString());
  });
  const save = (name: string, part: 'decoder' | 'dit' | 'stats') =>
    withPart(source, part, (tensors) =>
      writePart(join(folder, name), part, { tensors, container: 'pt', reference: true }, options),
    );
  save('model.pt', 'decoder');
  if (parts.stats !== undefined) save('stat.pt', 'stats');
  if (parts.dit !== undefined) save('stage2_model.pt', 'dit');
}

/** The sections and keys that the reference's own files have, with paths from the folder. */
function referenceConfig({ config, raeConfig, stats, dit }: ModelParts, encoderClass: string): object {
  const { encoder_input_size, decoder_patch_size, noise_tau, reshape_to_2d, eps } = raeConfig.stage_1.params;
  const { stage_2, transport, sampler, guidance } = config;
  const { latent_size, num_classes, time_dist_shift_dim, time_dist_shift_base } = config.misc;
  const encoder_params = {
    [encoderClass === 'Dinov2withNorm' ? 'dinov2_path' : 'model_name']: 'encoder',
    ...(encoderClass === 'Dinov2withNorm' && { normalize: true }),
  };
  return {
    stage_1: {
      target: 'stage1.RAE',
      params: {
        encoder_cls: encoderClass,
        encoder_config_path: 'encoder',
        encoder_input_size,
        encoder_params,
        decoder_config_path: 'decoder',
        decoder_patch_size,
        pretrained_decoder_path: 'model.pt',
        noise_tau,
        reshape_to_2d,
        eps,
        ...(stats !== undefined && { normalization_stat_path: 'stat.pt' }),
      },
    },
    ...(stage_2 !== undefined && dit !== undefined && { stage_2: { ...stage_2, ckpt: 'stage2_model.pt' } }),
    ...(stage_2 !== undefined && {
      transport,
      sampler: { mode: sampler.mode, params: sampler.params },
      guidance,
      misc: { latent_size, num_classes, time_dist_shift_dim, time_dist_shift_base },
    }),
  };
}

// ── diffusers ─────────────────────────────────────────

/**
 * config.json and diffusion_pytorch_model.safetensors. WeightsError for a model that AutoencoderRAE cannot be. Returns what diffusers
 * will do otherwise than we: it ignores a trained position table of the decoder.
 */
export function fillDiffusers(folder: string, source: ConvertSource, options: WriteOptions): string[] {
  const parts = source.parts!;
  const { params } = parts.raeConfig.stage_1;
  const notes: string[] = [];
  withEncoder(parts, (encoder) =>
    tidy(() => {
      const { vit, mean, std } = encoder.spec;
      const type = diffusersType(encoder);
      const side = params.encoder_input_size / vit.patch;
      const decoder = decoderOf(parts, encoder);
      if ((decoder.eps ?? 1e-12) !== 1e-12) throw unlike('a decoder with layer_norm_eps 1e-12', decoder.eps);
      const { tensors: moments, config: latents } = diffusersMoments(parts, params.eps);
      const config = {
        _class_name: 'AutoencoderRAE',
        _diffusers_version: '0.42.1',
        encoder_type: type,
        encoder_hidden_size: vit.width,
        encoder_patch_size: vit.patch,
        encoder_num_hidden_layers: vit.depth,
        decoder_hidden_size: decoder.width,
        decoder_num_hidden_layers: decoder.depth,
        decoder_num_attention_heads: decoder.heads,
        decoder_intermediate_size: decoder.hidden,
        patch_size: decoder.patch,
        encoder_input_size: params.encoder_input_size,
        image_size: decoder.patch * side,
        num_channels: 3,
        encoder_norm_mean: mean,
        encoder_norm_std: std,
        ...latents,
        noise_tau: params.noise_tau,
        reshape_to_2d: params.reshape_to_2d,
        use_encoder_loss: false,
        scaling_factor: 1,
      };
      writeFileSync(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
      const pixel = (values: readonly number[]) => tensor([...values], { shape: [1, 3, 1, 1], dtype: 'f32' });
      const buffers = prepared(new Map([...moments, ['encoder_mean', pixel(mean)], ['encoder_std', pixel(std)]]));
      withPart(source, 'decoder', (state) => {
        const theirs = decoderToDiffusers(state);
        if (isComputed(theirs.get('decoder_pos_embed')!, decoder.width, side)) theirs.delete('decoder_pos_embed');
        else
          notes.push(
            "diffusers computes the decoder's position table anew and ignores the trained one: its pictures differ.",
          );
        const inner = new Map([...theirs].map(([key, t]) => [`decoder.${key}`, t]));
        const all = new Map([...encoderForDiffusers(encoder, type), ...inner]);
        const file = join(folder, `${DIFFUSERS_WEIGHTS}.safetensors`);
        saveSafetensors(file, new Map([...prepared(all, options), ...buffers]), { format: 'pt' });
      });
      return undefined;
    }),
  );
  return notes;
}

/** The encoder's type, if diffusers builds it as it is. */
function diffusersType({ spec, state }: EncoderTensors): keyof typeof DIFFUSERS_ENCODERS {
  familyOf(spec);
  const type = spec.family as keyof typeof DIFFUSERS_ENCODERS;
  const { width, heads, hidden, patch, grid, registers = 0, feedForward } = spec.vit;
  const built = DIFFUSERS_ENCODERS[type];
  const side = Math.floor(built.imageSize / patch);
  if (feedForward === 'swiglu') throw unlike('an encoder without SwiGLU', 'one with it');
  if (type === 'dinov2' && registers !== 4) throw unlike('a DINOv2 with 4 registers', `one with ${registers}`);
  if (heads !== Math.floor(width / 64)) throw unlike('an encoder with heads of 64', `one with ${width / heads}`);
  if (hidden !== built.hidden(width)) throw unlike(`a feed-forward of ${built.hidden(width)} in the encoder`, hidden);
  if (grid[0] !== side) throw unlike(`a position table of ${side} x ${side} in the encoder`, `${grid[0]} x ${grid[1]}`);
  if (!state.has('pos_embed')) throw new WeightsError(expected('convert', 'an encoder with a position table', 'none'));
  return type;
}

function unlike(what: string, received: unknown): ConfigError {
  return new ConfigError(
    expected('--to diffusers', `${what}, as AutoencoderRAE has it`, received, 'Choose --to reference or safetensors.'),
  );
}

/** Without the final norm's weight and bias; diffusers wants DINOv2's mask token, which nothing uses. */
function encoderForDiffusers({ spec, state }: EncoderTensors, type: keyof typeof DIFFUSERS_ENCODERS): Tensors {
  const kept = new Map([...state].filter(([key]) => !key.startsWith('norm.')));
  if (type === 'dinov2' && !kept.has('mask_token')) kept.set('mask_token', zeros([1, spec.vit.width]));
  return encoderToHuggingFace({ spec, state: kept }, DIFFUSERS_ENCODERS[type].prefix);
}

/** `_latents_mean` and `_latents_std`: theirs as they were, ours so that with 1e-5 added the deviation is the same. */
function diffusersMoments(parts: ModelParts, eps: number): { tensors: Map<string, Tensor>; config: object } {
  const none = { latents_mean: null, latents_std: null };
  if (parts.stats === undefined)
    return {
      tensors: new Map([
        ['_latents_mean', zeros([1])],
        ['_latents_std', ones([1])],
      ]),
      config: none,
    };
  return withStatistics(parts.stats, (moments) => {
    const variance = moments.get('var')?.to('f64');
    const std = moments.get('_latents_std') ?? variance!.add(eps).sqrt().sub(DIFFUSERS_EPS).to('f32');
    const mean = moments.get('_latents_mean') ?? moments.get('mean') ?? zeros(std.shape);
    const tensors = new Map([
      ['_latents_mean', mean.clone()],
      ['_latents_std', std.clone()],
    ]);
    return { tensors, config: { latents_mean: nested(mean), latents_std: nested(std) } };
  });
}

/** Nested lists of a tensor's numbers. */
function nested(t: Tensor): unknown {
  const [first, ...rest] = t.shape;
  if (first === undefined) return t.item();
  const flat = t.toNumbers();
  const build = (shape: readonly number[], at: number): unknown => {
    const [n = 1, ...inner] = shape;
    const step = inner.reduce((a, b) => a * b, 1);
    if (inner.length === 0) return flat.slice(at, at + n);
    return Array.from({ length: n }, (_, i) => build(inner, at + i * step));
  };
  return build([first, ...rest], 0);
}

function isComputed(table: Tensor, width: number, side: number): boolean {
  const computed = diffusersPositions(width, side);
  return `${table.shape}` === `${computed.shape}` && table.dtype === 'f32' && table.eq(computed).all().item() !== 0;
}
