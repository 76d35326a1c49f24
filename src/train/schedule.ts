// How long a run is and when things fall due, from the `training` section: lengths in epochs become optimiser steps.

import type { RunConfig } from '../config/index.ts';
import { type EmaDecay, type LrSchedule, lrSchedule, lrScheduleOptions, warmDecay } from '../optim/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

export interface Schedule {
  stepsPerEpoch: number;
  /** Steps of the whole run. */
  end: number;
  lr: LrSchedule;
  /** Steps between checkpoints. */
  checkpointEvery: number;
  sampleEvery: number;
  logEvery: number;
  evalEvery: number | undefined;
}

/** The schedule for a set of `size` pictures. ConfigError when one batch is more than the set. */
export function scheduleOf({ training, eval: evaluation }: RunConfig, size: number): Schedule {
  const stepsPerEpoch = Math.floor(size / training.global_batch_size);
  if (stepsPerEpoch < 1) {
    throw new ConfigError(
      expected('training.global_batch_size', `at most ${size}, the number of pictures`, training.global_batch_size),
    );
  }
  return {
    stepsPerEpoch,
    end: training.steps ?? Math.round((training.epochs ?? 1) * stepsPerEpoch),
    lr: lrSchedule(lrScheduleOptions(training, stepsPerEpoch)),
    checkpointEvery: training.checkpoint_every ?? Math.max(1, Math.round(training.checkpoint_interval * stepsPerEpoch)),
    sampleEvery: training.sample_every,
    logEvery: training.log_interval,
    evalEvery: evaluation?.eval_interval,
  };
}

/** The decay of the average: constant, or warming up to it for short runs. */
export function emaDecay({ training }: RunConfig, rate = training.ema_decay): EmaDecay {
  return training.ema_warmup ? warmDecay(rate) : rate;
}

/** Pictures of each micro-batch of one optimiser step. ConfigError when the batch does not divide. */
export function microBatches({ training }: RunConfig): number {
  const { global_batch_size: batch, grad_accum_steps: steps } = training;
  if (batch % steps !== 0) {
    throw new ConfigError(expected('training.grad_accum_steps', `a divisor of the batch size ${batch}`, steps));
  }
  return batch / steps;
}
