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
  const end = training.steps ?? Math.round((training.epochs ?? 1) * stepsPerEpoch);
  if (end < 1) {
    const what = `at least one step, of which an epoch has ${stepsPerEpoch}`;
    throw new ConfigError(expected('training.epochs', what, training.epochs));
  }
  checkRates('training.scheduler', training.scheduler, { stepsPerEpoch, steps: end });
  return {
    stepsPerEpoch,
    end,
    lr: lrSchedule(lrScheduleOptions(training, stepsPerEpoch)),
    checkpointEvery: training.checkpoint_every ?? Math.max(1, Math.round(training.checkpoint_interval * stepsPerEpoch)),
    sampleEvery: training.sample_every,
    logEvery: training.log_interval,
    evalEvery: evaluation?.eval_interval,
  };
}

type Scheduler = RunConfig['training']['scheduler'];

/** Steps that a scheduler counts: all of the run for the decoder or generator, its own updates for a discriminator. */
export interface Counted {
  stepsPerEpoch: number;
  steps: number;
}

/** ConfigError where the warm-up takes all of the steps, or the decay would begin after them. `where` names the section. */
export function checkRates(where: string, scheduler: Scheduler, { stepsPerEpoch, steps }: Counted): void {
  if (!scheduler) return;
  const { warmupSteps = 0 } = lrScheduleOptions({ scheduler }, stepsPerEpoch);
  const begins: [string, number | undefined][] = [
    [scheduler.warmup_steps === undefined ? 'warmup_epochs' : 'warmup_steps', warmupSteps],
    ['decay_start_steps', scheduler.decay_start_steps],
  ];
  for (const [key, length = 0] of begins) {
    if (length < steps) continue;
    const what = `less than the ${steps} steps that it counts`;
    throw new ConfigError(
      expected(
        `${where}.${key}`,
        what,
        key === 'warmup_epochs' ? `${length} (${scheduler[key]} epochs)` : length,
        'Train longer, or set it lower; --steps stops a long run early.',
      ),
    );
  }
}

/** What to say of a decay that the run does not live to see the end of; undefined where all is well. */
export function unfinishedDecay(
  where: string,
  scheduler: Scheduler,
  { stepsPerEpoch, steps }: Counted,
): string | undefined {
  if (!scheduler || scheduler.type === 'constant') return undefined;
  const { decayEndSteps = 0, finalLr } = lrScheduleOptions({ scheduler }, stepsPerEpoch);
  if (finalLr === undefined || decayEndSteps <= steps) return undefined;
  return `${where}: the decay ends at step ${decayEndSteps}, after the last of ${steps}: the rate does not come down to ${finalLr}.`;
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
