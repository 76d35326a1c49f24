// Configuration of stage 2: model, transport, sampler, guidance and the latent space (spec 8 to 11). Keys are the reference's.

import { z } from 'zod';
import { count, fraction, maybe, natural, path, positive } from './values.ts';

const pair = z.tuple([count, count]); // [encoder, head], or [height, width]

const ditShared = {
  input_size: z.union([count, pair]), // ours: [height, width] of a rectangle
  in_channels: count.default(768),
  mlp_ratio: positive.default(4),
  class_dropout_prob: fraction.default(0.1),
  num_classes: natural.optional(), // default misc.num_classes; 0 (ours): unconditional, without a label table
  use_qknorm: z.boolean().default(false),
  use_swiglu: z.boolean().default(true),
  use_rope: z.boolean().default(true),
  use_rmsnorm: z.boolean().default(true),
  wo_shift: z.boolean().default(false),
};

const ditDH = z.strictObject({
  target: z.literal('stage2.models.DDT.DiTwDDTHead'),
  params: z.strictObject({
    ...ditShared,
    patch_size: z.union([count, pair]).default(1),
    hidden_size: pair,
    depth: pair,
    num_heads: pair,
    use_pos_embed: z.boolean().default(true),
  }),
  ckpt: maybe(path),
});

const lightningDiT = z.strictObject({
  target: z.literal('stage2.models.lightningDiT.LightningDiT'),
  params: z.strictObject({
    ...ditShared,
    patch_size: count.default(1),
    hidden_size: count,
    depth: count,
    num_heads: count,
    learn_sigma: z.boolean().default(false),
    use_gembed: z.boolean().default(true), // ignored, as in the reference
  }),
  ckpt: maybe(path),
});

/** The two generators; `target` names the reference's class and is looked up here, nothing is imported by it. */
export const stage2 = z.discriminatedUnion('target', [ditDH, lightningDiT]);

export const TIME_DISTRIBUTION = /^(?:uniform|logit-normal_(-?\d+(?:\.\d+)?)_(\d+(?:\.\d+)?))$/;

export const transport = z.strictObject({
  params: z
    .strictObject({
      path_type: z.enum(['Linear', 'GVP', 'VP']).default('Linear'),
      prediction: z.enum(['velocity', 'noise', 'score', 'data']).default('velocity'), // data: ours
      loss_weight: maybe(z.enum(['velocity', 'likelihood'])),
      train_eps: maybe(z.number().min(0)),
      sample_eps: maybe(z.number().min(0)),
      time_dist_type: z
        .string()
        .regex(TIME_DISTRIBUTION, 'expected uniform or logit-normal_<mu>_<sigma>')
        .default('uniform'),
    })
    .prefault({}),
});

/** torchdiffeq 0.2.5's names (plain `heun` is none of them). */
export const ODE_METHODS = [
  ...['euler', 'midpoint', 'rk4', 'heun2', 'heun3', 'explicit_adams', 'implicit_adams', 'fixed_adams'],
  ...['dopri5', 'dopri8', 'bosh3', 'fehlberg2', 'adaptive_heun'],
] as const;

const ode = z.strictObject({
  mode: z.literal('ODE'),
  params: z
    .strictObject({
      sampling_method: z.enum(ODE_METHODS).default('dopri5'),
      num_steps: count.default(50), // grid points: 50 make 49 steps
      atol: positive.default(1e-6),
      rtol: positive.default(1e-3),
      reverse: z.boolean().default(false),
    })
    .prefault({}),
  /** Ours: `reference` stops short of 0 as the reference does; `zero` integrates to 0, num_steps then counts steps. */
  end: z.enum(['reference', 'zero']).default('reference'),
});

const sde = z.strictObject({
  mode: z.literal('SDE'),
  params: z
    .strictObject({
      // The reference's default `Euler` fails in its own look-up; here both spellings work.
      sampling_method: z.preprocess(
        (name) => (typeof name === 'string' ? name.toLowerCase() : name),
        z.enum(['euler', 'heun']).default('euler'),
      ),
      diffusion_form: z
        .enum(['constant', 'SBDM', 'sigma', 'linear', 'decreasing', 'inccreasing-decreasing'])
        .default('SBDM'),
      diffusion_norm: positive.default(1),
      last_step: maybe(z.enum(['Mean', 'Tweedie', 'Euler'])),
      last_step_size: z.number().min(0).default(0.04),
      num_steps: count.default(250),
    })
    .prefault({}),
});

export const sampler = z.discriminatedUnion('mode', [ode, sde]);

export const guidance = z.strictObject({
  method: z.enum(['cfg', 'autoguidance']).default('cfg'),
  scale: z.number().default(1), // active above 1
  t_min: fraction.default(0),
  t_max: fraction.default(1),
  guidance_model: stage2.optional(),
});

export const misc = z.strictObject({
  latent_size: z.tuple([count, count, count]).optional(), // [C, h, w]; default from stage_2.params
  num_classes: natural.optional(), // default stage_2.params.num_classes, else 1000
  null_label: natural.optional(), // default num_classes
  time_dist_shift_dim: positive.optional(), // default C*h*w
  time_dist_shift_base: positive.default(4096),
});
