// Configuration of stage 1: the RAE (spec 3), its losses and the discriminator (spec 5, 6).
// Keys are the reference's; those marked "ours" have no counterpart there.

import { z } from 'zod';
import { optimizer, scheduler } from './training.ts';
import { count, fraction, maybe, natural, path, positive, rgb } from './values.ts';

/** Encoder layouts: the reference's three wrappers, and ours for DINOv3, for timm's ViT and DeiT files and for self-trained encoders. */
export const ENCODERS = ['Dinov2withNorm', 'Dinov3withNorm', 'SigLIP2wNorm', 'MAEwNorm', 'ViTwNorm'] as const;

const encoderParams = z.strictObject({
  dinov2_path: maybe(path), // the file to load where it differs from encoder_config_path (reference's argument names)
  model_name: maybe(path),
  normalize: z.boolean().default(true),
  num_tokens: maybe(count),
  image_mean: maybe(rgb), // ours, like image_std: for encoders without a preprocessor_config.json
  image_std: maybe(rgb),
  layers: maybe(z.array(natural).min(1)), // ours, like add_mean: RAEv2's average over several blocks (0 is the first), instead of the last one's
  add_mean: maybe(z.boolean()), // with `layers`: add the mean token of the last of them; default: for DINOv3 and SigLIP2, as RAEv2
});

/** Decoder sizes, spelled as in the reference's decoder config.json (Hugging Face ViTMAE names). */
export const decoderConfig = z.strictObject({
  decoder_hidden_size: count,
  decoder_num_hidden_layers: count,
  decoder_num_attention_heads: count,
  decoder_intermediate_size: count,
  layer_norm_eps: positive.default(1e-12),
});

const raeParams = z.strictObject({
  encoder_cls: z.enum(ENCODERS).default('Dinov2withNorm'),
  /** A folder, a file, a Hugging Face name, or (ours) `embedded`: the small encoder shipped in assets/. */
  encoder_config_path: path.default('facebook/dinov2-base'),
  encoder_input_size: count.default(224),
  encoder_params: encoderParams.prefault({}),
  /** A folder with config.json, or a size name; ignored when decoder_config is given. */
  decoder_config_path: path.default('vit_mae-base'),
  decoder_config: maybe(decoderConfig), // ours: the sizes in place
  decoder_patch_size: count.default(16),
  pretrained_decoder_path: maybe(path),
  noise_tau: z.number().min(0).default(0.8),
  noise_kind: z.enum(['uniform', 'half-normal']).default('uniform'), // ours: tau * U(0, 1) as the code, or the paper's |N(0, tau^2)|
  reshape_to_2d: z.boolean().default(true),
  normalization_stat_path: maybe(path),
  eps: positive.default(1e-5),
});

export const stage1 = z.strictObject({
  target: z.enum(['stage1.RAE']).default('stage1.RAE'),
  params: raeParams.prefault({}),
  ckpt: maybe(path),
});

/** Reconstruction losses (ours: the reference has L1 fixed at 1 and LPIPS in gan.loss.perceptual_weight). */
export const losses = z.strictObject({
  l1: z.number().min(0).default(1),
  /** Weight of LPIPS; 0 without a weights file. Default: gan.loss.perceptual_weight, else 1. */
  lpips: z.number().min(0).optional(),
  lpips_file: maybe(path),
  /** Weight of the Gram loss (Scale-RAE: 100), on the network of lpips_file. */
  gram: z.number().min(0).default(0),
});

export const gan = z.strictObject({
  disc: z
    .strictObject({
      arch: z
        .strictObject({
          /** The frozen trunk: DINO's weights, or (ours) any encoder's, or `encoder` for that of the run. */
          dino_ckpt_path: maybe(path),
          ks: count.default(3),
          key_depths: z.array(natural).optional(), // default: the last block of each quarter, [2, 5, 8, 11] of 12
          norm_type: z.enum(['bn', 'gn']).default('bn'),
          using_spec_norm: z.boolean().default(true),
          norm_eps: positive.default(1e-6),
          recipe: z.enum(['S_8', 'S_16', 'B_16']).default('S_8'), // not looked at: sizes are read off the file
          resize: z.boolean().default(true), // ours: bring pictures to the trunk's own size (224), as the reference always does
        })
        .prefault({}),
      optimizer: optimizer.prefault({}),
      scheduler: maybe(scheduler),
      augment: z.strictObject({ prob: z.number().max(1).default(1), cutout: z.number().default(0.2) }).prefault({}),
    })
    .prefault({}),
  loss: z
    .strictObject({
      disc_loss: z.enum(['hinge', 'vanilla']).default('hinge'),
      gen_loss: z.enum(['vanilla']).default('vanilla'),
      disc_weight: z.number().min(0).default(0.75),
      perceptual_weight: z.number().min(0).default(1),
      disc_start: z.number().min(0).default(8), // epochs; fractions allowed
      disc_upd_start: z.number().min(0).default(6),
      lpips_start: z.number().min(0).default(0),
      disc_start_step: natural.optional(), // ours, like the next two: in steps; wins over epochs
      disc_upd_start_step: natural.optional(),
      lpips_start_step: natural.optional(),
      max_d_weight: positive.default(1e4),
      disc_updates: count.default(1),
    })
    .prefault({}),
});

/** Masked-autoencoder pretraining of an encoder (ours; sizes spelled as Hugging Face's ViTMAE). */
export const mae = z.strictObject({
  mask_ratio: fraction.default(0.75),
  norm_pix_loss: z.boolean().default(true),
  patch_size: count.default(8),
  hidden_size: count.default(64),
  num_hidden_layers: count.default(6),
  num_attention_heads: count.default(4),
  intermediate_size: count.default(256),
  decoder_hidden_size: count.default(64),
  decoder_num_hidden_layers: count.default(2),
  decoder_num_attention_heads: count.default(4),
  decoder_intermediate_size: count.default(256),
});
