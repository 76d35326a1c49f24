// Learning rates over optimiser steps, counted from 0, as the reference's scheduler gives them (spec 7 and 12):
// warm-up (constant, or from zero by (step + 1) / warmup), then a cosine or a line to the final rate, then flat.

import { expected, nearest, show } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

export type LrScheduleType = 'linear' | 'cosine' | 'constant';

export interface LrScheduleOptions {
  /** 'constant' warms up and stays. Default 'linear'. */
  type?: LrScheduleType | undefined;
  baseLr: number;
  /** Default baseLr: the rate then stays constant whatever the type. */
  finalLr?: number | undefined;
  /** Default 0. */
  warmupSteps?: number | undefined;
  /** The decay begins here: between the two the rate is baseLr. At least warmupSteps, which is its default. */
  decayStartSteps?: number | undefined;
  /** From here on the rate is final. At least decayStartSteps, which is its default. */
  decayEndSteps?: number | undefined;
  /** Default false: the rate is baseLr during warm-up, too. */
  warmupFromZero?: boolean | undefined;
}

/** The rate of a step, for step = 0, 1, ... */
export type LrSchedule = (step: number) => number;

/** Rate of every step: baseLr * lrFactor(step). */
export function lrSchedule(options: LrScheduleOptions): LrSchedule {
  const factor = lrFactor(options);
  return (step) => options.baseLr * factor(step);
}

/** The multiplier of baseLr (the reference's lr_lambda). */
export function lrFactor({
  type = 'linear',
  baseLr,
  finalLr = baseLr,
  warmupSteps = 0,
  decayStartSteps = warmupSteps,
  decayEndSteps = decayStartSteps,
  warmupFromZero = false,
}: LrScheduleOptions): LrSchedule {
  check({ type, baseLr, finalLr, warmupSteps, decayStartSteps, decayEndSteps });
  const start = Math.max(warmupSteps, decayStartSteps);
  const end = Math.max(start, decayEndSteps);
  const final = baseLr > 0 ? finalLr / baseLr : 1;
  return (step) => {
    if (step < warmupSteps) return warmupFromZero ? (step + 1) / warmupSteps : 1;
    if (type === 'constant') return 1;
    if (step >= end) return final;
    if (step < start) return 1;
    const progress = (step - start) / (end - start);
    if (type === 'linear') return 1 - (1 - final) * progress;
    return final + (1 - final) * 0.5 * (1 + Math.cos(Math.PI * progress));
  };
}

function check({ type, ...numbers }: { type: string } & Record<string, number | string>): void {
  const types = ['linear', 'cosine', 'constant'];
  if (!types.includes(type)) {
    const near = nearest(type, types);
    throw new ArgumentError(
      `lrSchedule: expected type ${types.join(', ')}, received ${show(type)}.${near ? ` Did you mean '${near}'?` : ''}`,
    );
  }
  for (const [name, value] of Object.entries(numbers)) {
    if (!(typeof value === 'number' && value >= 0 && Number.isFinite(value))) {
      throw new ArgumentError(expected('lrSchedule', `${name} to be a number of at least 0`, value));
    }
  }
}
