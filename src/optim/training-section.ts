// Optimiser and schedule from the `training` section of a reference configuration (spec 12, appendix B), with its defaults,
// its legacy keys (base_lr, final_lr, beta, wd, decay_start_epoch, decay_end_epoch) and its lengths in epochs or steps.

import { ConfigError } from '../util/errors.ts';
import type { AdamWOptions } from './adamw.ts';
import type { LrScheduleOptions, LrScheduleType } from './lr-schedule.ts';

/** The keys read here; the rest of the section is other code's concern. */
export interface TrainingSection {
  optimizer?: OptimizerSection | undefined;
  scheduler?: SchedulerSection | undefined;
  base_lr?: number | undefined;
  final_lr?: number | undefined;
  decay_start_epoch?: number | undefined;
  decay_end_epoch?: number | undefined;
}

export interface OptimizerSection {
  type?: string | undefined;
  lr?: number | undefined;
  betas?: readonly number[] | undefined;
  beta?: readonly number[] | undefined;
  weight_decay?: number | undefined;
  wd?: number | undefined;
  eps?: number | undefined;
}

export interface SchedulerSection {
  type?: string | undefined;
  warmup_epochs?: number | undefined;
  warmup_steps?: number | undefined;
  decay_start_steps?: number | undefined;
  decay_end_epoch?: number | undefined;
  decay_end_steps?: number | undefined;
  base_lr?: number | undefined;
  final_lr?: number | undefined;
  warmup_from_zero?: boolean | undefined;
}

/** AdamW's options. A scheduler's own base_lr is not looked at here: the schedule sets the rate of every step. */
export function adamWOptions({ optimizer = {}, base_lr }: TrainingSection): Required<Omit<AdamWOptions, 'fused'>> {
  const { type = 'adamw', lr = base_lr ?? 2e-4, eps = 1e-8 } = optimizer;
  if (type.toLowerCase() !== 'adamw') {
    throw new ConfigError(`training.optimizer.type: expected 'adamw', received '${type}'. It is the only optimiser.`);
  }
  const betas = optimizer.betas ?? optimizer.beta ?? [0.9, 0.95];
  const [beta1, beta2] = betas;
  if (betas.length !== 2 || beta1 === undefined || beta2 === undefined) {
    throw new ConfigError(`training.optimizer.betas: expected two numbers, received [${betas.join(', ')}].`);
  }
  return { lr, betas: [beta1, beta2], eps, weightDecay: optimizer.weight_decay ?? optimizer.wd ?? 0 };
}

/**
 * The schedule's options. Lengths in epochs count `stepsPerEpoch` optimiser steps each and lose their fraction;
 * lengths in steps win over them. Without a scheduler section the rate stays the optimiser's.
 */
export function lrScheduleOptions(training: TrainingSection, stepsPerEpoch: number): LrScheduleOptions {
  const { lr } = adamWOptions(training);
  const { scheduler } = training;
  if (!scheduler) return { type: 'constant', baseLr: lr };
  const steps = (epochs: number | undefined) => (epochs === undefined ? undefined : Math.trunc(epochs * stepsPerEpoch));
  const warmupSteps = scheduler.warmup_steps ?? steps(scheduler.warmup_epochs ?? training.decay_start_epoch) ?? 0;
  return {
    type: (scheduler.type ?? 'linear').toLowerCase() as LrScheduleType, // judged by lrSchedule
    baseLr: scheduler.base_lr ?? lr,
    finalLr: scheduler.final_lr ?? training.final_lr,
    warmupSteps,
    decayStartSteps: scheduler.decay_start_steps,
    decayEndSteps: scheduler.decay_end_steps ?? steps(scheduler.decay_end_epoch ?? training.decay_end_epoch),
    warmupFromZero: scheduler.warmup_from_zero ?? false,
  };
}
