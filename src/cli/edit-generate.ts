// rae edit interpolate and mix: pictures from noise, between seeds and classes.

import type { Command } from 'commander';
import type { LoadedGenerator } from '../inference/load-model.ts';
import { dispose } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { beginEdit, classList, decoded, type EditFlags, editVerb, noises, writePictures } from './edit-options.ts';
import { integerOption, parseNumber, printResult } from './shared.ts';

interface InterpolateFlags extends EditFlags {
  seeds?: string;
  classes?: string;
  num: number;
}

interface MixFlags extends EditFlags {
  classes: string;
  num: number;
}

export function interpolateCommand(): Command {
  const example = [
    'rae edit interpolate --model runs/dit --classes ring --seeds 1,2,3 --num 17 --out seeds.png',
    'rae edit interpolate --model runs/dit --classes ring,star --num 9 --out classes.png',
  ].join('\n');
  return editVerb('interpolate', 'frames between seeds (slerp of their noise) and between classes', example)
    .option('--classes <list>', 'a class, or a class for each key frame, by number or name')
    .option('--seeds <list>', 'a seed, or a seed for each key frame (default: --seed)')
    .addOption(integerOption('--num <n>', 'frames, the key frames included', { min: 2, default: 9 }))
    .action(interpolate);
}

async function interpolate(options: InterpolateFlags): Promise<void> {
  const edit = beginEdit(options);
  const { model, editor, how } = edit;
  const classes =
    options.classes === undefined ? withoutClasses(model) : classList(options.classes, model, '--classes');
  const seeds = options.seeds?.split(',').map((text) => parseNumber('--seeds', text, { min: 0 }, true)) ?? [
    options.seed,
  ];
  const keys = Math.max(classes.length, seeds.length);
  if ([classes, seeds].some((list) => list.length !== 1 && list.length !== keys)) {
    const what = 'one class, or as many as --seeds has';
    throw new ConfigError(expected('--classes', what, `${classes.length} beside ${seeds.length} seeds`));
  }
  if (keys < 2) {
    throw new ConfigError(
      expected('--seeds, --classes', 'at least two of one of them to go between', `${keys} of each`),
    );
  }
  const frames = Array.from({ length: keys }, (_, i) => ({
    seed: seeds[i] ?? seeds[0]!,
    label: classes[i] ?? classes[0]!,
  }));
  const latents = editor.interpolate(frames, options.num);
  const pictures = decoded(edit, latents, options.precision);
  latents.dispose();
  log.done();
  await writePictures(options.out, pictures, { side: model.side, columns: options.num });
  const result = { out: options.out, pictures: options.num, classes, seeds };
  printResult(options, result, `${options.out}: ${options.num} frames over ${keys} key frames, ${how}`);
}

/** The label of a model that has no classes. ConfigError for one that has. */
function withoutClasses({ config }: LoadedGenerator): number[] {
  if (config.misc.num_classes === 0) return [0];
  throw new ConfigError(expected('--classes', 'a class, or one for each key frame', 'none'));
}

export function mixCommand(): Command {
  const example = 'rae edit mix --model runs/dit --classes ring=1,star=2 --num 8 --out mixed.png';
  return editVerb('mix', 'pictures of several classes at once, by weight', example)
    .requiredOption('--classes <list>', "classes by number or name, each with '=WEIGHT' behind it (default 1)")
    .addOption(integerOption('--num <n>', 'pictures', { min: 1, default: 8 }))
    .action(mix);
}

async function mix(options: MixFlags): Promise<void> {
  const edit = beginEdit(options);
  const { model, editor, how } = edit;
  const parts = options.classes.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    const weight = at < 0 ? 1 : parseNumber('--classes', part.slice(at + 1), { min: 0 }, false);
    return { label: classList(at < 0 ? part : part.slice(0, at), model, '--classes')[0]!, weight };
  });
  const weights = parts.map(({ weight }) => weight);
  if (!weights.some((weight) => weight > 0))
    throw new ConfigError(expected('--classes', 'a weight above 0', options.classes));
  const classes = parts.map(({ label }) => label);
  const noise = noises(edit, options.seed, options.num);
  const latents = editor.mix(classes, weights, noise);
  const pictures = decoded(edit, latents, options.precision);
  dispose([noise, latents]);
  log.done();
  await writePictures(options.out, pictures, { side: model.side, columns: Math.min(8, options.num) });
  const result = { out: options.out, pictures: options.num, classes, weights };
  printResult(options, result, `${options.out}: ${options.num} pictures of ${parts.length} classes mixed, ${how}`);
}
