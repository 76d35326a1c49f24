// The experiments of docs/results.md: photographs at 80 x 80 over DeiT-Tiny (25 tokens of 192), small enough that a run takes half an hour of
// one CPU core with AVX-512 and bf16 (AMX), and runs that differ in one value can stand side by side.
//   rae train rae --recipe clothing80-rae --encoder deit_tiny.safetensors --lpips lpips_squeeze.safetensors --data train --eval-data test --out RAE
//   rae encode --model RAE --input train --cache latents --flips
//   rae train dit --recipe clothing80-dit --rae RAE --latents latents --out DIT

import type { RunConfigInput } from '../config/index.ts';
import { centred, overDeitTiny, smallDiTDH } from './clothing.ts';

const SIDE = 80;

/**
 * All three phases: 3,000 steps of L1 + LPIPS, 500 in which the discriminator learns as well, 2,500 against it. Its trunk is the run's own
 * encoder, at the pictures' size. The rate is constant until the discriminator comes and falls to a tenth.
 */
export function clothing80Rae(): RunConfigInput {
  return {
    stage_1: overDeitTiny(SIDE, 0),
    data: centred(SIDE),
    losses: { lpips: 1 },
    gan: {
      disc: {
        arch: { dino_ckpt_path: 'encoder', ks: 9, resize: false },
        optimizer: { lr: 2e-4, betas: [0.9, 0.95] },
        augment: { prob: 1, cutout: 0 },
      },
      loss: { disc_weight: 0.75, disc_upd_start_step: 3000, disc_start_step: 3500 },
    },
    training: {
      steps: 6000,
      global_batch_size: 16,
      precision: 'bf16',
      optimizer: { lr: 4e-4, betas: [0.9, 0.95] },
      scheduler: {
        type: 'cosine',
        warmup_steps: 100,
        warmup_from_zero: true,
        decay_start_steps: 3000,
        decay_end_steps: 6000,
        final_lr: 4e-5,
      },
      ema_decay: 0.998,
      ema_warmup: true,
      clip_grad: 0,
      log_interval: 50,
      sample_every: 500,
      checkpoint_every: 250,
    },
    eval: { eval_interval: 500 },
  };
}

/** DiT^DH 192/256 (5.5 M parameters), the shift that the dimension 25 * 192 gives: 1.08. */
export function clothing80Dit(): RunConfigInput {
  return {
    stage_1: overDeitTiny(SIDE, 0),
    stage_2: smallDiTDH(5),
    misc: { num_classes: 10 },
    data: { ...centred(SIDE), flip: true },
    sampler: { mode: 'ODE', params: { sampling_method: 'euler', num_steps: 50 } },
    guidance: { method: 'cfg', scale: 2 },
    training: {
      steps: 3000,
      global_batch_size: 64,
      precision: 'bf16',
      optimizer: { lr: 4e-4, betas: [0.9, 0.95] },
      ema_decay: 0.998,
      ema_warmup: true,
      clip_grad: 1,
      log_interval: 50,
      sample_every: 1000,
      checkpoint_every: 250,
    },
    eval: { eval_interval: 500 },
  };
}
