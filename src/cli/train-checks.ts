// What is judged of a run before anything is loaded or written, by tables of files and the number of pictures; and how a run that is refused
// all the same leaves its folder as it was.

import { existsSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type RunConfig, readConfigFile } from '../config/index.ts';
import { stage2Of } from '../inference/build.ts';
import { encoderPath } from '../inference/model-folder.ts';
import { checkLengths } from '../train/before.ts';
import { expected } from '../util/check.ts';
import { ConfigError, StorageError } from '../util/errors.ts';
import { bytes } from '../util/format.ts';
import { log } from '../util/log.ts';
import { checkMemory, estimateOf, raeSizes } from './estimate.ts';
import type { TrainOptions } from './train.ts';

/** Judges lengths and, of a new run, sizes; says what is unusual. ConfigError for what cannot be trained. */
export function checkBefore(
  config: RunConfig,
  options: TrainOptions,
  { size, classes }: { size: number; classes: readonly string[] },
): void {
  for (const sentence of checkLengths(config, size)) log.warn(sentence);
  if (!options.resume) checkSizes(config, options, classes.length);
}

/** An encoder that is not there is left to its loader to complain of. */
function checkSizes(config: RunConfig, options: TrainOptions, classes: number): void {
  const { rae } = options;
  const { encoder_config_path } = config.stage_1.params;
  const own = config.stage_2 === undefined && config.mae === undefined; // its encoder is the one that the configuration names
  if (own ? !existsSync(encoderPath(encoder_config_path)) : config.mae === undefined && rae === undefined) return;
  const number = config.misc.num_classes === 0 ? 0 : classes;
  const sizes = config.stage_2 && raeSizes(config, rae);
  if (sizes) checkAsked(config, options, sizes.latent, number);
  if (options.anySize) return;
  const estimate = estimateOf(config, { rae: sizes, classes: number });
  checkMemory(estimate);
  checkRoom(options.out, estimate.checkpoint, config.training.keep_checkpoints);
}

/** StorageError where not one checkpoint fits onto the disk of `out`; says it where those that are kept, and the next one, do not. */
function checkRoom(out: string, checkpoint: number, keep: number): void {
  let place = resolve(out);
  while (!existsSync(place)) place = dirname(place);
  const { bavail, bsize, blocks } = statfsSync(place);
  if (blocks === 0) return; // /proc and its like, which say for themselves that nothing can be made there
  const free = bavail * bsize;
  if (free < checkpoint) {
    const reason = `it has ${bytes(free)} free, and a checkpoint takes ${bytes(checkpoint)}`;
    throw new StorageError(`${out}: cannot hold the run (${reason}). Make room, or name another place.`, { reason });
  }
  if (free < (keep + 1) * checkpoint)
    log.warn(
      `${out}: ${bytes(free)} are free, and ${keep + 1} checkpoints of ${bytes(checkpoint)} are there at a time (training.keep_checkpoints ${keep}, and the new one).`,
    );
}

/**
 * ConfigError where sizes of the generator were given, by --set or in a --config file, that are not those of the RAE and the pictures. A
 * recipe's are mere defaults. A file's number of classes gives way and is said to: published files have ImageNet's.
 */
function checkAsked(
  config: RunConfig,
  { config: file, set = [] }: TrainOptions,
  [C, h, w]: readonly [number, number, number],
  classes: number,
): void {
  const { in_channels, input_size } = stage2Of(config).params;
  const { num_classes } = config.misc;
  const written = file === undefined ? {} : readConfigFile(file);
  const inFile = sectionOf(written, 'stage_2', 'params');
  const isSet = (key: string) => set.some((assignment) => assignment.trim().startsWith(`${key}=`));
  const given = (key: string) => key in inFile || isSet(`stage_2.params.${key}`);
  const refuse = (key: string, what: string, received: unknown, next = 'Leave it out: it follows from them.') => {
    throw new ConfigError(expected(key, what, received, next));
  };
  if (given('in_channels') && in_channels !== C)
    refuse('stage_2.params.in_channels', `${C}, the channels of the RAE's latents`, in_channels);
  const sides = [input_size].flat();
  const [rows, columns = rows] = sides;
  if ((given('input_size') || sides.length > 1) && (rows !== h || columns !== w)) {
    const next = 'Rectangular latents are trained on from a program (rae-ts/train), with latents of its own.';
    const what = `${h}, the side of the RAE's latents`;
    refuse('stage_2.params.input_size', what, input_size, rows === columns ? undefined : next);
  }
  if (num_classes === classes) return;
  if (isSet('stage_2.params.num_classes') || isSet('misc.num_classes'))
    refuse('misc.num_classes', `${classes}, the classes of the pictures`, num_classes);
  if ('num_classes' in inFile || 'num_classes' in sectionOf(written, 'misc'))
    log.warn(`${file}: num_classes ${num_classes} gives way to the ${classes} classes of the pictures.`);
}

function sectionOf(value: unknown, ...path: string[]): object {
  const found = path.reduce((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
  return typeof found === 'object' && found !== null ? found : {};
}

/**
 * Remembers what lies in the folder of a run. The function it returns takes away what was put there since, unless the run has begun (its
 * configuration is there), so that a run that is refused leaves nothing behind.
 */
export function keepAsItIs(out: string): () => void {
  const before = existsSync(out) ? readdirSync(out) : [];
  return () => {
    if (!existsSync(out) || existsSync(join(out, 'config.yaml'))) return;
    for (const name of readdirSync(out)) {
      if (!before.includes(name) && name !== 'lock') rmSync(join(out, name), { recursive: true, force: true });
    }
  };
}
