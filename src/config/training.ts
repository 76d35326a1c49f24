// Configuration of training loops and data (spec 7, 12). Keys are the reference's; those marked "ours" are not.

import { z } from 'zod';
import { count, fraction, integer, maybe, natural, path, positive } from './values.ts';

export const optimizer = z.strictObject({
  type: z.preprocess(
    (name) => (typeof name === 'string' ? name.toLowerCase() : name),
    z.enum(['adamw']).default('adamw'),
  ),
  lr: positive.default(2e-4),
  betas: z.tuple([fraction, fraction]).default([0.9, 0.95]),
  weight_decay: z.number().min(0).default(0),
  eps: positive.default(1e-8),
});

export const scheduler = z.strictObject({
  type: z.enum(['linear', 'cosine', 'constant']).default('linear'),
  warmup_epochs: z.number().min(0).optional(),
  warmup_steps: natural.optional(),
  decay_start_steps: natural.optional(), // ours: the rate holds until here after warm-up
  decay_end_epoch: z.number().min(0).optional(),
  decay_end_steps: natural.optional(),
  base_lr: positive.optional(), // replaces the optimiser's rate
  final_lr: z.number().min(0).optional(), // without it the rate stays constant
  warmup_from_zero: z.boolean().default(false),
});

/** Defaults that the reference sets differently for its two trainers are filled in by resolveConfig. */
export const training = z.strictObject({
  epochs: positive.optional(),
  steps: count.optional(), // ours: length in optimiser steps; wins over epochs
  global_batch_size: count.default(16),
  grad_accum_steps: count.default(1),
  ema_decay: fraction.optional(),
  ema_decays: z.array(fraction).default([]), // ours, stage 2: further averages, each saved, for `--ema RATE`
  ema_warmup: z.boolean().default(false), // ours: decay min(ema_decay, (1 + n) / (10 + n)) after n updates
  num_workers: natural.default(4),
  log_interval: count.default(100), // steps
  sample_every: count.optional(), // steps
  checkpoint_interval: positive.default(4), // epochs
  checkpoint_every: count.optional(), // ours: steps; wins over checkpoint_interval
  keep_checkpoints: natural.default(2), // ours: newest ones kept; 0 keeps all
  keep_best: maybe(path), // ours: the metric (eval_ema/lpips) whose best evaluation is kept in checkpoints/best
  clip_grad: z.number().min(0).default(1), // global norm; 0 = off
  global_seed: natural.default(0),
  cfg_scale: positive.optional(),
  activation_checkpointing: z.boolean().default(false), // ours: blocks keep their inputs alone and are computed again backward
  non_finite: z.enum(['stop', 'skip', 'rollback']).default('stop'), // ours, stage 2: what a loss or gradient that is not finite leads to
  precision: z.enum(['fp32', 'bf16']).default('fp32'), // ours (a flag in the reference)
  optimizer: optimizer.prefault({}),
  scheduler: maybe(scheduler),
});

export const evaluation = z.strictObject({
  eval_interval: count.default(2500), // steps
  eval_model: z.boolean().default(false),
  frechet_samples: natural.default(0), // ours, stage 2: as many samples for a Frechet distance of latents; 0 for none
  data_path: maybe(path),
  reference_npz_path: maybe(path),
  metrics: z.array(z.enum(['psnr', 'ssim', 'lpips', 'rfid', 'fid'])).default([]),
});

/** Pictures (ours: flags of the scripts in the reference). One of `path`, `synthetic` and `latents`. */
export const data = z.strictObject({
  path: maybe(path),
  eval_path: maybe(path),
  latents: maybe(path), // ours: a cache of `rae encode --cache`, for stage 2
  eval_latents: maybe(path),
  image_size: count.default(256),
  /** random: resize the short side to floor(1.5 * size) (384 for 256), crop anywhere; center: ADM centre crop. */
  crop: z.enum(['random', 'center']).optional(), // default: random for stage 1 and encoders, center for stage 2
  flip: z.boolean().optional(), // default: only for stage 2
  exif: z.boolean().default(true), // apply the orientation tag; the reference ignores it
  /** The drawn set of ten classes: pictures come from the seed, train and held-out ones never overlap. */
  synthetic: z
    .strictObject({
      seed: integer.default(0),
      train_size: count.default(20_000),
      eval_size: count.default(2_000),
    })
    .optional(),
});
