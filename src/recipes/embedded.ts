// The embedded set: everything that `rae demo` trains and that assets/ ships. 32 x 32 pictures, 16 tokens of 64 numbers.
//   rae demo --full              all three, from scratch to the shipped weights
// Hardware: 2 CPU cores. Measured times and scores: docs/log.md.

import type { RunConfigInput } from '../config/index.ts';

const data = { image_size: 32, crop: 'center', flip: false, synthetic: { seed: 0 } } as const;

const stage1 = (noise_tau: number) => ({
  params: {
    encoder_cls: 'ViTwNorm' as const,
    encoder_config_path: 'embedded',
    encoder_input_size: 32,
    decoder_patch_size: 8,
    decoder_config: {
      decoder_hidden_size: 128,
      decoder_num_hidden_layers: 5,
      decoder_num_attention_heads: 4,
      decoder_intermediate_size: 512,
    },
    noise_tau,
  },
});

/** Many small steps: of 128 pictures, half as many took as long and learned less (docs/log.md). */
const small = (steps: number, final_lr: number): RunConfigInput['training'] => ({
  steps,
  global_batch_size: 64,
  optimizer: { lr: 1e-3, betas: [0.9, 0.95] },
  scheduler: { type: 'cosine', warmup_steps: 100, warmup_from_zero: true, decay_end_steps: steps, final_lr },
  ema_decay: 0.998,
  ema_warmup: true,
  log_interval: 50,
  sample_every: 1000,
  checkpoint_every: 1000,
  clip_grad: 1,
});

/** Masked-autoencoder pretraining of the shipped encoder: `rae train encoder --recipe embedded-encoder`. */
export function embeddedEncoder(): RunConfigInput {
  return {
    stage_1: stage1(0),
    data,
    mae: {
      patch_size: 8,
      hidden_size: 64,
      num_hidden_layers: 6,
      num_attention_heads: 4,
      intermediate_size: 256,
      decoder_hidden_size: 64,
      decoder_num_hidden_layers: 2,
      decoder_num_attention_heads: 4,
      decoder_intermediate_size: 256,
    },
    training: {
      steps: 6000,
      global_batch_size: 256,
      optimizer: { lr: 1.5e-3, betas: [0.9, 0.95], weight_decay: 0.05 },
      scheduler: { type: 'cosine', warmup_steps: 300, warmup_from_zero: true, decay_end_steps: 6000, final_lr: 1e-5 },
      ema_decay: 0.999,
      ema_warmup: true,
      log_interval: 50,
      sample_every: 1000,
      checkpoint_every: 1000,
      clip_grad: 1,
    },
  };
}

/** The decoder over the shipped encoder, L1 alone: `rae train rae --recipe embedded-rae`. */
export function embeddedRae(): RunConfigInput {
  return {
    stage_1: stage1(0.2),
    data,
    losses: { lpips: 0 },
    training: small(6000, 2e-5),
    eval: { eval_interval: 2000 },
  };
}

/** The generator over the shipped encoder and decoder: `rae train dit --recipe embedded-dit --rae embedded`. */
export function embeddedDit(): RunConfigInput {
  return {
    stage_1: stage1(0),
    stage_2: {
      target: 'stage2.models.DDT.DiTwDDTHead',
      params: {
        input_size: 4,
        in_channels: 64,
        hidden_size: [96, 160],
        depth: [6, 2],
        num_heads: [3, 4],
        class_dropout_prob: 0.1,
      },
    },
    misc: { num_classes: 10, time_dist_shift_base: 1024 }, // 16 tokens of 64: no shift
    data,
    sampler: { mode: 'ODE', params: { sampling_method: 'euler', num_steps: 50 } },
    guidance: { method: 'cfg', scale: 1.5 },
    training: small(10_000, 5e-5),
    eval: { eval_interval: 2000 },
  };
}
