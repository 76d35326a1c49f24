// Real photographs at 112 x 112 over DeiT-Tiny (49 tokens of 192): the configurations of docs/log.md.
//   rae train rae --recipe clothing-rae --encoder deit_tiny.safetensors --lpips lpips_squeeze.safetensors --data train --eval-data test --out runs/clothing-rae
//   rae train dit --recipe clothing-dit --rae runs/clothing-rae --data train --eval-data test --out runs/clothing-dit
// Hardware: 2 CPU cores. Expected after 100 / 200 / 300 / 400 steps of stage 1: PSNR 12.0 / 12.9 / 14.6 / 15.0 dB, LPIPS 0.349 / 0.283 /
// 0.246 / 0.229 (PyTorch's curve); mean loss of stage 2 over steps 1-200 / 201-400 / 401-600: 1.61 / 1.36 / 1.29.

import type { RunConfigInput } from '../config/index.ts';

/** DeiT-Tiny, which sees pictures of `side` pixels, and a decoder of 3 M parameters. */
export const overDeitTiny = (side: number, noise_tau: number) => ({
  params: {
    encoder_cls: 'ViTwNorm' as const,
    encoder_config_path: 'deit_tiny_patch16_224.safetensors',
    encoder_input_size: side,
    decoder_patch_size: 16,
    decoder_config: {
      decoder_hidden_size: 192,
      decoder_num_hidden_layers: 6,
      decoder_num_attention_heads: 3,
      decoder_intermediate_size: 768,
    },
    noise_tau,
  },
});

/** DiT^DH 192/256, 5.5 M parameters, on a grid of `input_size` squared tokens. */
export const smallDiTDH = (input_size: number) => ({
  target: 'stage2.models.DDT.DiTwDDTHead' as const,
  params: {
    input_size,
    in_channels: 192,
    hidden_size: [192, 256] as [number, number],
    depth: [4, 2] as [number, number],
    num_heads: [3, 4] as [number, number],
    class_dropout_prob: 0.1,
  },
});

export const centred = (image_size: number) => ({ image_size, crop: 'center' as const, flip: false });

/** L1 + LPIPS, tau 0.4, rate constant for 400 steps and then decaying: 3 M parameters. */
export function clothingRae(): RunConfigInput {
  return {
    stage_1: overDeitTiny(112, 0.4),
    data: centred(112),
    losses: { lpips: 1 },
    training: {
      steps: 3000,
      global_batch_size: 64,
      optimizer: { lr: 4e-4, betas: [0.9, 0.95] },
      scheduler: {
        type: 'cosine',
        warmup_steps: 50,
        warmup_from_zero: true,
        decay_start_steps: 400,
        decay_end_steps: 3000,
        final_lr: 4e-5,
      },
      ema_decay: 0.995,
      ema_warmup: true,
      clip_grad: 0,
      log_interval: 20,
      sample_every: 200,
      checkpoint_every: 100,
    },
    eval: { eval_interval: 100 },
  };
}

/** DiT^DH 192/256, 5.5 M parameters, uniform time, shift sqrt(49 * 192 / 4096). */
export function clothingDit(): RunConfigInput {
  return {
    stage_1: overDeitTiny(112, 0),
    stage_2: smallDiTDH(7),
    misc: { num_classes: 10 },
    data: { ...centred(112), flip: true },
    sampler: { mode: 'ODE', params: { sampling_method: 'euler', num_steps: 50 } },
    guidance: { method: 'cfg', scale: 2 },
    training: {
      steps: 20_000,
      global_batch_size: 64,
      optimizer: { lr: 4e-4, betas: [0.9, 0.95] },
      ema_decay: 0.999,
      ema_warmup: true,
      clip_grad: 1,
      log_interval: 50,
      sample_every: 500,
      checkpoint_every: 250,
    },
    eval: { eval_interval: 500 },
  };
}
