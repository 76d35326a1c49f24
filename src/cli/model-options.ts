// What the verbs that use a model have in common: the options that name it, and how they begin and stop.

import { type Command, Option } from 'commander';
import type { Precision } from '../inference/batches.ts';
import { clearInterrupted, installSignalHandlers, interrupted, setThreads } from '../tensor/index.ts';
import { InterruptedError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { integerOption, type VerbOptions, verb } from './shared.ts';

export interface ModelOptions extends VerbOptions {
  model: string;
  weights?: string;
  ema?: boolean;
  raw?: boolean;
  precision?: Precision;
  threads?: number;
}

/** A verb that uses a model; `weights` says what --weights replaces. */
export function modelVerb(name: string, description: string, example: string, weights: string): Command {
  return verb(name, description, example)
    .requiredOption('--model <path>', "a run directory, one of its checkpoints, a configuration (YAML), or 'embedded'")
    .option('--weights <file>', `${weights} (safetensors or a PyTorch checkpoint) instead of the model's own`)
    .option('--ema', 'the average of the trained weights (default)')
    .addOption(new Option('--raw', 'the trained weights themselves').conflicts('ema'))
    .addOption(precisionOption())
    .addOption(threadsOption());
}

export function precisionOption(): Option {
  return new Option('--precision <p>', 'arithmetic of the networks').choices(['fp32', 'bf16']).default('fp32');
}

export function threadsOption(): Option {
  return integerOption('--threads <n>', 'CPU threads', { min: 1 });
}

/** Call first: quiet with --json, threads, and signals that are noticed by stopIfInterrupted from now on. */
export function beginVerb({ json, threads }: VerbOptions & { threads?: number }): void {
  log.quiet = json ?? false;
  if (threads !== undefined) setThreads(threads);
  installSignalHandlers();
}

/** Throws InterruptedError (exit code 130 or 143) when a signal has arrived; `done` says what is left behind. */
export function stopIfInterrupted(done: () => string): void {
  const signal = interrupted();
  if (signal === 0) return;
  clearInterrupted();
  log.done();
  throw new InterruptedError(`interrupted: ${done()}`, 128 + signal);
}
