// Checks across fields that no single field can make; resolveConfig makes those of `checkConfig`. `checkEncoder` and `checkFiles` judge a
// configuration against an encoder's sizes and against the disk, for whoever wants to know before anything is loaded.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { RunConfig, Stage2Config } from './schema.ts';

/** Complaints about fields that contradict each other; empty when all is well. */
export function checkConfig(config: RunConfig): string[] {
  return [
    ...checkModel('stage_2', config.stage_2),
    ...checkModel('guidance.guidance_model', config.guidance.guidance_model),
    ...checkLatent(config),
    ...checkSampling(config),
    ...checkTraining(config),
  ];
}

/** Complaints about the encoder: sizes as its own configuration states them. */
export function checkEncoder(config: RunConfig, encoder: { hiddenSize: number; patchSize: number }): string[] {
  const { encoder_input_size, decoder_patch_size } = config.stage_1.params;
  const latent = config.misc.latent_size;
  const grid = encoder_input_size / encoder.patchSize;
  if (!Number.isInteger(grid)) {
    return [
      `stage_1.params.encoder_input_size: expected a multiple of the encoder's patch size ${encoder.patchSize}, received ${encoder_input_size}.`,
    ];
  }
  const problems: string[] = [];
  if (latent !== undefined && latent[0] !== encoder.hiddenSize) {
    problems.push(
      `misc.latent_size: expected ${encoder.hiddenSize} channels (the encoder's hidden size), received ${latent[0]}.`,
    );
  }
  if (latent !== undefined && (latent[1] !== grid || latent[2] !== grid)) {
    problems.push(
      `misc.latent_size: expected a grid of ${grid} x ${grid} (encoder_input_size ${encoder_input_size} / patch ${encoder.patchSize}), received ${latent[1]} x ${latent[2]}.`,
    );
  }
  const output = decoder_patch_size * grid;
  if (config.stage_2 === undefined && config.data.path !== undefined && output !== config.data.image_size) {
    problems.push(
      `stage_1.params.decoder_patch_size: expected ${config.data.image_size / grid} (data.image_size ${config.data.image_size} / ${grid} tokens a side), received ${decoder_patch_size}.`,
    );
  }
  return problems;
}

/** Complaints about files that are named but absent. Names for which `isPublished` holds can be fetched and pass. */
export function checkFiles(
  config: RunConfig,
  { root = '.', isPublished = () => false }: { root?: string; isPublished?: (name: string) => boolean } = {},
): string[] {
  const { params, ckpt } = config.stage_1;
  const guide = config.guidance.guidance_model;
  const trunk = config.gan?.disc.arch.dino_ckpt_path;
  const named: [string, string | undefined][] = [
    [
      'stage_1.params.encoder_config_path',
      params.encoder_config_path === 'embedded' ? undefined : params.encoder_config_path,
    ],
    ['stage_1.params.encoder_params.dinov2_path', params.encoder_params.dinov2_path],
    ['stage_1.params.encoder_params.model_name', params.encoder_params.model_name],
    ['stage_1.params.pretrained_decoder_path', params.pretrained_decoder_path],
    ['stage_1.params.normalization_stat_path', params.normalization_stat_path],
    ['stage_1.ckpt', ckpt],
    ['stage_2.ckpt', config.stage_2?.ckpt],
    ['guidance.guidance_model.ckpt', guide?.ckpt],
    ['losses.lpips_file', config.losses.lpips_file],
    ['gan.disc.arch.dino_ckpt_path', trunk === 'encoder' ? undefined : trunk],
    ['data.path', config.data.path],
    ['data.eval_path', config.data.eval_path],
    ['data.latents', config.data.latents],
    ['data.eval_latents', config.data.eval_latents],
  ];
  return named.flatMap(([key, name]) =>
    name === undefined || isPublished(name) || existsSync(resolve(root, name))
      ? []
      : [`${key}: expected an existing file or folder, received '${name}' (looked in ${resolve(root)}).`],
  );
}

function checkModel(where: string, model: Stage2Config | undefined): string[] {
  if (model === undefined) return [];
  const { hidden_size, num_heads, use_rope } = model.params;
  const widths = [hidden_size].flat();
  const heads = [num_heads].flat();
  return widths.flatMap((width, i) => {
    const perHead = width / (heads[i] ?? 1);
    if (!Number.isInteger(perHead)) {
      return [`${where}.params.num_heads: expected a divisor of hidden_size ${width}, received ${heads[i]}.`];
    }
    if (use_rope && perHead % 4 !== 0) {
      return [
        `${where}.params.num_heads: expected head widths divisible by 4 (rotary positions), received ${width} / ${heads[i]} = ${perHead}.`,
      ];
    }
    return [];
  });
}

function checkLatent({ misc, stage_2 }: RunConfig): string[] {
  const problems: string[] = [];
  const { latent_size, time_dist_shift_dim, time_dist_shift_base, num_classes, null_label } = misc;
  if (latent_size !== undefined) {
    const [channels, height, width] = latent_size;
    const size = [stage_2?.params.input_size ?? height].flat();
    if (height !== width && size.length === 1) {
      problems.push(`misc.latent_size: expected a square grid, received ${height} x ${width}.`);
    }
    if (stage_2 !== undefined && stage_2.params.in_channels !== channels) {
      problems.push(
        `stage_2.params.in_channels: expected ${channels} (misc.latent_size), received ${stage_2.params.in_channels}.`,
      );
    }
    if (size[0] !== height || (size[1] ?? width) !== width) {
      const grid = size.length === 1 ? `${height}` : `[${height}, ${width}]`;
      problems.push(
        `stage_2.params.input_size: expected ${grid} (the grid of misc.latent_size), received ${size.length === 1 ? size[0] : `[${size.join(', ')}]`}.`,
      );
    }
    const dim = channels * height * width;
    if (time_dist_shift_dim !== dim) {
      // Differs from the reference, whose own 512-pixel training file has this mistake.
      problems.push(
        `misc.time_dist_shift_dim: expected ${dim} (the product of latent_size), received ${time_dist_shift_dim}. Leave it out, or change time_dist_shift_base for another shift.`,
      );
    }
  }
  if (time_dist_shift_dim !== undefined && time_dist_shift_dim < time_dist_shift_base) {
    problems.push(
      `misc.time_dist_shift_base: expected at most time_dist_shift_dim ${time_dist_shift_dim} (the shift must be at least 1), received ${time_dist_shift_base}.`,
    );
  }
  if (stage_2 !== undefined && stage_2.params.num_classes !== num_classes) {
    problems.push(
      `misc.num_classes: expected ${stage_2.params.num_classes} (stage_2.params.num_classes), received ${num_classes}.`,
    );
  }
  if (null_label > num_classes) {
    problems.push(
      `misc.null_label: expected at most num_classes ${num_classes} (the table's last row), received ${null_label}.`,
    );
  }
  return problems;
}

function checkSampling({ sampler, guidance, stage_2 }: RunConfig): string[] {
  const problems: string[] = [];
  if (sampler.mode === 'ODE') {
    const { num_steps, reverse } = sampler.params;
    if (num_steps < 2 && sampler.end === 'reference') {
      problems.push(`sampler.params.num_steps: expected at least 2 (it counts grid points), received ${num_steps}.`);
    }
    if (reverse)
      problems.push(
        'sampler.params.reverse: expected false, received true. Integrating from data to noise is not offered.',
      );
  }
  if (sampler.mode === 'SDE') {
    const { num_steps, last_step, last_step_size } = sampler.params;
    if (num_steps < 2)
      problems.push(`sampler.params.num_steps: expected at least 2 (it counts grid points), received ${num_steps}.`);
    if (last_step !== null && !(last_step_size > 0 && last_step_size < 1)) {
      problems.push(
        `sampler.params.last_step_size: expected a number between 0 and 1, received ${last_step_size}. Without a last step set last_step to null.`,
      );
    }
  }
  if (guidance.scale < 1) {
    problems.push(`guidance.scale: expected at least 1 (which is no guidance), received ${guidance.scale}.`);
  }
  if (guidance.t_min >= guidance.t_max) {
    problems.push(`guidance.t_min: expected less than t_max ${guidance.t_max}, received ${guidance.t_min}.`);
  }
  if (guidance.method === 'autoguidance' && guidance.scale > 1 && guidance.guidance_model === undefined) {
    problems.push(
      'guidance.guidance_model: expected a model {target, params, ckpt} for autoguidance, received nothing.',
    );
  }
  const without =
    (stage_2?.params.num_classes === 0 && 'classes') || (stage_2?.params.class_dropout_prob === 0 && 'label dropout');
  if (without && guidance.method === 'cfg' && guidance.scale > 1) {
    problems.push(
      `guidance.scale: expected 1 (no classifier-free guidance) for a model without ${without}, received ${guidance.scale}.`,
    );
  }
  return problems;
}

function checkTraining(config: RunConfig): string[] {
  const { training, losses, data, mae, eval: evaluation } = config;
  const problems: string[] = [];
  const { global_batch_size, grad_accum_steps } = training;
  if (global_batch_size % grad_accum_steps !== 0) {
    problems.push(
      `training.global_batch_size: expected a multiple of grad_accum_steps ${grad_accum_steps}, received ${global_batch_size}.`,
    );
  }
  if (losses.l1 === 0 && losses.lpips === 0 && losses.gram === 0) {
    problems.push('losses: expected a weight above 0 for l1, lpips or gram, received 0 for all.');
  }
  if (losses.gram > 0 && losses.lpips_file === undefined) {
    problems.push(
      `losses.lpips_file: expected the network's weights for losses.gram ${losses.gram}, received none. Name them with --lpips.`,
    );
  }
  problems.push(...checkDecoderHeads(config), ...checkStage2Training(config));
  if (training.keep_best !== undefined && evaluation === undefined) {
    problems.push(
      `training.keep_best: expected a section eval with the interval of evaluations, received '${training.keep_best}' without one.`,
    );
  }
  const from = (['path', 'synthetic', 'latents'] as const).filter((key) => data[key] !== undefined);
  if (from.length > 1) {
    problems.push(`data: expected one of path, synthetic and latents, received ${from.join(' and ')}. Keep one.`);
  }
  problems.push(...checkLatents(config));
  if (mae !== undefined && grad_accum_steps !== 1) {
    problems.push(
      `training.grad_accum_steps: expected 1 for an encoder, whose steps are not split, received ${grad_accum_steps}.`,
    );
  }
  if (mae !== undefined && training.activation_checkpointing) {
    problems.push('training.activation_checkpointing: expected false for an encoder, received true.');
  }
  if (mae !== undefined && evaluation !== undefined) {
    problems.push('eval: expected no such section for an encoder, which is judged by its grids, received one.');
  }
  if (mae !== undefined && data.image_size % mae.patch_size !== 0) {
    problems.push(
      `mae.patch_size: expected a divisor of data.image_size ${data.image_size}, received ${mae.patch_size}.`,
    );
  }
  if (mae !== undefined && mae.hidden_size % mae.num_attention_heads !== 0) {
    problems.push(
      `mae.num_attention_heads: expected a divisor of hidden_size ${mae.hidden_size}, received ${mae.num_attention_heads}.`,
    );
  }
  if (mae !== undefined && mae.decoder_hidden_size % mae.decoder_num_attention_heads !== 0) {
    problems.push(
      `mae.decoder_num_attention_heads: expected a divisor of decoder_hidden_size ${mae.decoder_hidden_size}, received ${mae.decoder_num_attention_heads}.`,
    );
  }
  return problems;
}

function checkDecoderHeads({ stage_1 }: RunConfig): string[] {
  const { decoder_hidden_size: width, decoder_num_attention_heads: heads } = stage_1.params.decoder_config ?? {};
  if (width === undefined || heads === undefined || width % heads === 0) return [];
  return [
    `stage_1.params.decoder_config.decoder_num_attention_heads: expected a divisor of decoder_hidden_size ${width}, received ${heads}.`,
  ];
}

/** What the loop of stage 2 alone offers. */
function checkStage2Training({ training, stage_2, eval: evaluation }: RunConfig): string[] {
  const { ema_decay, ema_decays, non_finite } = training;
  const twice = ema_decays.find((rate, i) => rate === ema_decay || ema_decays.indexOf(rate) !== i);
  const only = (key: string, value: unknown) => `${key}: expected none but in stage 2, received ${String(value)}.`;
  return [
    ...(twice === undefined
      ? []
      : [`training.ema_decays: expected rates beside ema_decay, each once, received ${twice} twice.`]),
    ...(stage_2 || ema_decays.length === 0 ? [] : [only('training.ema_decays', ema_decays)]),
    ...(stage_2 || non_finite === 'stop' ? [] : [only('training.non_finite', non_finite)]),
    ...(stage_2 || !evaluation?.frechet_samples ? [] : [only('eval.frechet_samples', evaluation.frechet_samples)]),
    ...(evaluation?.frechet_samples === 1 ? ['eval.frechet_samples: expected 0 or at least 2, received 1.'] : []),
  ];
}

/** What latents from a cache ask for, which were encoded from centre crops, for stage 2. */
function checkLatents({ data, stage_2 }: RunConfig): string[] {
  if (data.latents === undefined) {
    if (data.eval_latents === undefined) return [];
    return ['data.eval_latents: expected data.latents beside it, received it alone.'];
  }
  return [
    ...(stage_2 === undefined
      ? ['data.latents: expected a section stage_2, which alone trains on latents, received none.']
      : []),
    ...(data.crop === 'random' ? ["data.crop: expected 'center' with data.latents, received 'random'."] : []),
    ...(data.eval_path === undefined
      ? []
      : ['data.eval_path: expected data.eval_latents beside data.latents, received pictures.']),
  ];
}

/** Keys of the reference's files that are set and have no effect here, each with what to do instead. */
export function ignoredKeys({ training, eval: evaluation, stage_1 }: RunConfig): string[] {
  const keys: [string, unknown, string][] = [
    ['training.cfg_scale', training.cfg_scale, 'Set guidance.scale.'],
    ['eval.data_path', evaluation?.data_path, 'Set data.eval_path.'],
    ['eval.reference_npz_path', evaluation?.reference_npz_path, 'Training does not compute FID.'],
    ['stage_1.params.encoder_params.num_tokens', stage_1.params.encoder_params.num_tokens, 'The encoder says it.'],
  ];
  return keys.flatMap(([key, value, next]) => (value === undefined ? [] : [`${key} has no effect. ${next}`]));
}
