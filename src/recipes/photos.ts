// Starting points for one's own photographs on a few CPU cores: 64 x 64, 64 tokens of 192, no downloaded weights.
//   rae train encoder --data PHOTOS --out runs/encoder
//   rae train rae --encoder runs/encoder --data PHOTOS --out runs/rae
//   rae train dit --rae runs/rae --data PHOTOS --out runs/dit
// With a pretrained encoder (--encoder dinov2-folder) set stage_1.params.encoder_input_size to a multiple of its patch.

import type { RunConfigInput } from '../config/index.ts';

const SIZE = 64;
const PATCH = 8;

const rates = (lr: number, steps: number) => ({
  steps,
  global_batch_size: 64,
  optimizer: { lr, betas: [0.9, 0.95] as [number, number] },
  scheduler: {
    type: 'cosine' as const,
    warmup_steps: 100,
    warmup_from_zero: true,
    decay_end_steps: steps,
    final_lr: lr / 20,
  },
  ema_decay: 0.999,
  ema_warmup: true,
  clip_grad: 1,
  log_interval: 20,
  sample_every: 500,
  checkpoint_every: 500,
});

export function photosEncoder(): RunConfigInput {
  return {
    stage_1: {},
    data: { image_size: SIZE, flip: true },
    mae: {
      patch_size: PATCH,
      hidden_size: 192,
      num_hidden_layers: 8,
      num_attention_heads: 3,
      intermediate_size: 768,
      decoder_hidden_size: 128,
      decoder_num_hidden_layers: 2,
      decoder_num_attention_heads: 4,
      decoder_intermediate_size: 512,
    },
    training: rates(1e-3, 20_000),
  };
}

export function photosRae(): RunConfigInput {
  return {
    stage_1: {
      params: {
        encoder_cls: 'ViTwNorm',
        encoder_config_path: 'embedded',
        encoder_input_size: SIZE,
        decoder_patch_size: PATCH,
        decoder_config: {
          decoder_hidden_size: 192,
          decoder_num_hidden_layers: 6,
          decoder_num_attention_heads: 3,
          decoder_intermediate_size: 768,
        },
        noise_tau: 0.4,
      },
    },
    data: { image_size: SIZE },
    losses: { lpips: 1 },
    training: rates(4e-4, 10_000),
    eval: { eval_interval: 1000 },
  };
}

export function photosDit(): RunConfigInput {
  return {
    stage_1: {
      params: {
        encoder_cls: 'ViTwNorm',
        encoder_config_path: 'embedded',
        encoder_input_size: SIZE,
        decoder_patch_size: PATCH,
      },
    },
    stage_2: {
      target: 'stage2.models.DDT.DiTwDDTHead',
      params: { input_size: SIZE / PATCH, in_channels: 192, hidden_size: [192, 256], depth: [6, 2], num_heads: [3, 4] },
    },
    data: { image_size: SIZE, flip: true },
    guidance: { method: 'cfg', scale: 2 },
    training: rates(4e-4, 30_000),
    eval: { eval_interval: 1000 },
  };
}
