// What the verbs that use a model have in common: the options that name it, and how they begin and stop.

import { type Command, Option } from 'commander';
import type { Precision } from '../inference/batches.ts';
import { clearInterrupted, installSignalHandlers, interrupted, setThreads } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, InterruptedError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { integerOption, parseNumber, type VerbOptions, verb } from './shared.ts';

export interface ModelOptions extends VerbOptions {
  model: string;
  /** The same path where it was given as a configuration of the reference: its scripts' own choices hold. */
  config?: string;
  weights?: string;
  ema?: number | true;
  raw?: boolean;
  precision?: Precision;
  threads?: number;
}

/** A verb that uses a model; `weights` says what --weights replaces. */
export function modelVerb(name: string, description: string, example: string, weights: string): Command {
  return verb(name, description, example)
    .option(
      '--model <path>',
      "a run directory, one of its checkpoints, a configuration (YAML), a name of 'rae weights', or 'embedded'",
    )
    .option('--config <file>', "in place of --model: a YAML as the reference's scripts take it, used as they do")
    .option('--weights <file>', `${weights} (safetensors or a PyTorch checkpoint) instead of the model's own`)
    .addOption(averageOption())
    .addOption(new Option('--raw', 'the trained weights themselves').conflicts('ema'))
    .addOption(precisionOption())
    .addOption(threadsOption())
    .hook('preAction', (command) => nameModel(command));
}

/** The model is what --model or --config names: exactly one of them. */
function nameModel(command: Command): void {
  const { model, config } = command.opts<{ model?: string; config?: string }>();
  if ((model === undefined) === (config === undefined)) {
    throw new ConfigError(
      `--model, --config: expected one of them, received ${model === undefined ? 'neither' : 'both'}. A run, or 'embedded' (the shipped model), goes with --model.`,
    );
  }
  if (config === undefined) return;
  if (!/\.ya?ml$/i.test(config))
    throw new ConfigError(expected('--config', 'a YAML file', config, 'A run goes with --model.'));
  command.setOptionValue('model', config);
}

/** The average of the trained weights, at a rate of several. */
function averageOption(): Option {
  return new Option(
    '--ema [rate]',
    'the average of the trained weights (default), at a rate of training.ema_decays',
  ).argParser((text: string) => parseNumber('--ema', text, { min: 0, max: 1 }, false));
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
