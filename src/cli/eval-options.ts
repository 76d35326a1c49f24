// The options with which rae eval and its sub-verbs say what to compare, by which network and how.

import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { metricNames } from '../evaluation/metric-names.ts';
import type { ResamplingMethod } from '../metrics/resampling.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { precisionOption } from './model-options.ts';
import { type SamplingFlags, withFreshOptions, withSamplingOptions } from './sampling-options.ts';
import { integerOption, type VerbOptions } from './shared.ts';

/** How pictures are read and looked at: every sub-verb has these. */
export interface ReadingOptions extends VerbOptions {
  extractor?: string;
  layer?: string;
  size?: number;
  exif: boolean;
  batch: number;
  workers: number;
  partial?: string;
}

export interface EvalOptions extends ReadingOptions, Omit<SamplingFlags, 'model'> {
  samples?: string;
  model?: string;
  reference?: string;
  referenceNum?: number;
  train?: string;
  metrics?: string;
  lpips?: string;
  labels?: string;
  num?: number;
  k: number;
  halfDistances?: boolean;
  fidInfinity?: boolean;
  interval?: ResamplingMethod;
  resamples: number;
  force?: boolean;
  out?: string;
}

export function withReadingOptions(verb: Command): Command {
  return verb
    .option(
      '--extractor <path>',
      "the network whose features are compared: Inception's weights (then it is FID), an encoder, SqueezeNet, 'embedded'",
    )
    .option('--layer <name>', 'its layer: 64, 192, 768 or 2048 of Inception, mean or cls of an encoder')
    .addOption(integerOption('--size <n>', 'side that pictures of files are cropped to (ADM centre crop)', { min: 1 }))
    .option('--no-exif', 'ignore EXIF orientation, as the reference does')
    .addOption(
      integerOption('--batch <n>', 'pictures read or made at once; the result is the same', { min: 1, default: 64 }),
    )
    .addOption(
      integerOption('--workers <n>', 'processes, one thread each; the result is the same', {
        min: 1,
        default: availableParallelism(),
      }),
    )
    .option('--partial <folder>', 'where unfinished work is kept (default: the user cache)');
}

/** What rae eval and rae eval compare have beyond that. */
export function withEvalOptions(verb: Command): Command {
  const sampling = withFreshOptions(withSamplingOptions(withReadingOptions(verb)));
  return sampling
    .option('--reference <path>', "what to compare with: pictures, an npz, statistics (mu, sigma), or 'embedded'")
    .addOption(integerOption('--reference-num <n>', 'at most so many of the reference, spread evenly', { min: 2 }))
    .option('--metrics <list>', `some of ${metricNames.join(',')} (default: what the inputs allow)`)
    .option('--train <path>', 'labelled pictures that probe and knn learn from')
    .option('--lpips <file>', 'weights of LPIPS')
    .option('--weights <file>', "weights of the generator instead of the model's own")
    .option('--ema', 'the average of the trained weights (default)')
    .addOption(new Option('--raw', 'the trained weights themselves').conflicts('ema'))
    .addOption(precisionOption())
    .option('--labels <list>', 'classes of samples: by number or name, or all, random, equal (default)')
    .addOption(integerOption('--num <n>', 'samples of a model (default 1000)', { min: 2 }))
    .addOption(integerOption('--k <n>', 'neighbour whose distance is the radius of a ball', { min: 1, default: 3 }))
    .option('--half-distances', "precision and recall by ADM's float16 distances")
    .option('--fid-infinity', "also the distance for infinitely many samples: FID's bias in N taken off")
    .addOption(
      new Option('--interval <how>', '95 % intervals, by drawing samples again or by halves').choices([
        'bootstrap',
        'subset',
      ]),
    )
    .addOption(integerOption('--resamples <n>', 'draws of --interval', { min: 2, default: 20 }))
    .option('--force', 'compare although the reference was made with another extractor')
    .option('--out <file>', 'write the result as JSON too');
}

/** The names of --metrics. ConfigError for an unknown one. */
export function parseMetrics(text: string): string[] {
  const known: readonly string[] = metricNames;
  return text.split(',').map((part) => {
    const name = part.trim().toLowerCase();
    if (known.includes(name)) return name;
    const near = nearest(name, known);
    throw new ConfigError(
      expected('--metrics', `some of ${known.join(', ')}`, name, near && `Did you mean '${near}'?`),
    );
  });
}

/** The command that was given, to be given again: flags in their order, defaults left out. */
export function commandLine(verb: Command): string {
  const names: string[] = [];
  for (let at: Command | null = verb; at; at = at.parent) names.unshift(at.name());
  const flags = verb.options.flatMap((option) => {
    const name = option.attributeName();
    if (verb.getOptionValueSource(name) !== 'cli' || ['json', 'debug'].includes(name)) return [];
    const value: unknown = verb.getOptionValue(name);
    return typeof value === 'boolean' ? [option.long!] : [option.long!, quoted(String(value))];
  });
  return [...names, ...verb.args.map(quoted), ...flags].join(' ');
}

function quoted(text: string): string {
  return /^[\w./,:=@+%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
