// rae sample: pictures from noise. Picture i of a seed is the same whatever --num, --batch and --first are. Everything is streamed: what
// was made goes to the outputs (output.ts) before the next is begun.

import { setImmediate } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { RunConfig } from '../config/index.ts';
import type { Guidance } from '../diffusion/index.ts';
import { decodeLatents, networkBatch, portionOf } from '../inference/batches.ts';
import { loadGenerator } from '../inference/build.ts';
import { generateBatches, guidanceOf, labelled, tokensOf } from '../inference/generate.ts';
import { type LabelChoice, labelsFor, parseLabels } from '../inference/labels.ts';
import { type LoadedGenerator, loadGuide, loadModel } from '../inference/load-model.ts';
import { pickTensor, readTensors } from '../inference/tensors.ts';
import { cat, dispose, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, RaeError } from '../util/errors.ts';
import { count, duration, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, type ModelOptions, modelVerb, stopIfInterrupted } from './model-options.ts';
import { describeGuidance, describeSampler, parseGuidance, type SamplerFlags, samplerFrom } from './sample-options.ts';
import { checkOutputs, openSinks, type Sink } from './sample-output.ts';
import { integerOption, printResult } from './shared.ts';

interface SampleOptions extends ModelOptions, SamplerFlags {
  labels?: string;
  num?: number;
  first: number;
  batch: number;
  guidance?: string;
  guide?: string;
  noise?: string;
  npz?: string;
  seed: number;
  out?: string;
}

/** Without --labels: every class once up to so many classes, else this many pictures of random ones. */
const [ALL_UP_TO, RANDOM] = [64, 8];

export function command(): Command {
  const example = [
    'rae sample --model runs/dit --labels all --num 80 --out samples.png',
    'rae sample --model runs/dit --labels 207,360 --guidance cfg:1.5@0.1-0.9 --num 50 --out samples --npz samples.npz',
  ].join('\n');
  return modelVerb('sample', 'pictures from noise', example, 'weights of the generator')
    .option('--out <path>', 'FILE.png for a grid, or a folder for one PNG each')
    .option('--npz <file>', 'all pictures as arr_0, uint8 [N, H, W, 3], and their labels as arr_1')
    .option('--labels <list>', "classes by number or name, taken in turn: '207,360', 'dress,hat'; or all, or random")
    .addOption(integerOption('--num <n>', 'pictures (default: one for each label)', { min: 1 }))
    .addOption(integerOption('--first <n>', 'index of the first picture', { min: 0, default: 0 }))
    .addOption(
      integerOption('--batch <n>', 'pictures held at once; they are the same whatever it is', { min: 1, default: 32 }),
    )
    .addOption(
      integerOption('--seed <n>', 'with the index of a picture it determines its noise', { min: 0, default: 0 }),
    )
    .addOption(
      integerOption('--steps <n>', 'grid points with --end reference (50 make 49 steps), steps with --end zero', {
        min: 1,
      }),
    )
    .option('--sampler <name>', "euler, heun2, dopri5, ... (torchdiffeq's names; an unknown one lists all)")
    .addOption(
      new Option('--end <where>', 'where the grid ends: just above 0 as in the reference, or at 0').choices([
        'reference',
        'zero',
      ]),
    )
    .option('--guidance <how>', 'cfg:SCALE or auto:SCALE, with @MIN-MAX for an interval of t; or none')
    .option('--guide <model>', 'the weaker model of auto guidance: a run, one of its checkpoints, or a file of weights')
    .option('--noise <file>', 'starting noise [N, C, h, w] instead of drawn: .safetensors, .npz or .npy')
    .action(run);
}

async function run(options: SampleOptions): Promise<void> {
  checkOutputs(options);
  beginVerb(options);
  const model = loadModel(options.model, { ...options, need: 'generator' });
  const { rae, generator, side } = model;
  const sampler = samplerFrom(model.config, options);
  const { config, guidance } = withGuidance(model, options);
  const given = options.noise === undefined ? undefined : readNoise(options.noise, model);
  const { choice, num } = labelsAndNumber(options, model, given);
  const labelOf = labelsFor(config, choice, options);
  const { first, seed, precision } = options;
  const portion = portionOf(rae, options.batch);
  const columns = columnsOf(choice === 'all' ? config.misc.num_classes : choice === 'random' ? 0 : choice.length, num);

  log.info(
    `${count(num)} pictures of ${side} x ${side}: ${describeSampler(sampler)}, ${describeGuidance(config.guidance)}, seed ${seed}`,
  );
  const sinks = openSinks(options, { side, columns, num, first });
  const started = performance.now();
  let [made, evaluations] = [0, 0];
  const stop = () =>
    stopIfInterrupted(() => `after ${made} of ${num} pictures; ${whatStays(sinks, options, first + made)}`);
  const onStep = ({ step, of }: { step: number; of: number }) => {
    stop();
    log.live(`${count(made)}/${count(num)} pictures  step ${step}/${of}${speed(made, started)}`);
  };
  try {
    let [waiting, labels]: [Tensor[], number[]] = [[], []];
    const batches = generateBatches(config, generator, labelOf, {
      ...sampler,
      guidance,
      seed,
      noise: given,
      precision,
      onStep,
      first,
      num,
    });
    for (const batch of batches) {
      evaluations = batch.evaluations;
      waiting.push(batch.latents);
      labels.push(...batch.labels);
      if (labels.length < portion && made + labels.length < num) continue;
      const pixels = decodeAll(model, waiting, { index: first + made, precision });
      await sinks.add(pixels, { index: first + made, labels });
      made += labels.length;
      [waiting, labels] = [[], []];
      await setImmediate(); // timers and streams are served
      stop();
    }
    log.done();
    await sinks.finish();
  } finally {
    sinks.dispose();
    given?.dispose();
  }
  const seconds = (performance.now() - started) / 1000;
  const result = {
    ...(options.out !== undefined && { out: options.out }),
    ...(options.npz !== undefined && { npz: options.npz }),
    pictures: num,
    first,
    side,
    labels: Array.from({ length: num }, (_, i) => labelOf(first + i)),
    seed,
    step: model.step,
    sampler: sampler.method,
    steps: sampler.steps,
    end: sampler.end,
    guidance: config.guidance.scale > 1 ? { ...config.guidance, guidance_model: undefined } : null,
    evaluations,
    networkBatch: networkBatch(tokensOf(generator)),
    precision: precision ?? 'fp32',
    seconds,
    imagesPerSecond: num / seconds,
  };
  const where = [options.out, options.npz].filter((path) => path !== undefined).join(', ');
  const text = `${where}: ${count(num)} pictures in ${duration(seconds)}, ${figure(num / seconds)} images/s, ${evaluations} evaluations each`;
  printResult(options, result, text);
}

/** The configuration with the guidance asked for, and the guidance itself, its guide loaded. */
function withGuidance(model: LoadedGenerator, options: SampleOptions): { config: RunConfig; guidance: Guidance } {
  const base = model.config.guidance;
  const config = { ...model.config, guidance: options.guidance ? parseGuidance(options.guidance, base) : base };
  const wanted = config.guidance.method === 'autoguidance' && config.guidance.scale > 1;
  if (options.guide !== undefined && !wanted) {
    throw new ConfigError(
      `--guide: expected --guidance auto:SCALE beside it, received ${describeGuidance(config.guidance)}.`,
    );
  }
  if (!wanted) return { config, guidance: guidanceOf(config, model.generator) };
  const guide = options.guide === undefined ? configuredGuide(config) : loadGuide(options.guide, model);
  return {
    config,
    guidance: guidanceOf(config, model.generator, labelled(guide.config, guide.generator, options.precision)),
  };
}

/** The guide that the configuration itself names, as the reference's do. */
function configuredGuide(config: RunConfig) {
  const { guidance_model } = config.guidance;
  if (guidance_model?.ckpt === undefined) {
    throw new ConfigError(
      '--guide: expected the weaker model of auto guidance, received none. Name a run or an earlier checkpoint.',
    );
  }
  const own = { ...config, stage_2: guidance_model } as RunConfig;
  return { config: own, generator: loadGenerator(own, guidance_model.ckpt) };
}

function readNoise(path: string, { rae }: LoadedGenerator): Tensor {
  const tensors = readTensors(path);
  try {
    const noise = pickTensor(path, tensors, { names: ['noise', 'x', 'z'], rank: rae.latentShape.length + 1 });
    const wanted = rae.latentShape.join(', ');
    if (noise.shape.slice(1).join(', ') !== wanted || noise.size(0) === 0)
      throw new ConfigError(`--noise: expected [N, ${wanted}], received [${noise.shape.join(', ')}].`);
    return noise.to('f32').clone();
  } finally {
    dispose(tensors);
  }
}

function labelsAndNumber(
  { labels, num, first }: SampleOptions,
  { config, classes }: LoadedGenerator,
  noise: Tensor | undefined,
): { choice: LabelChoice; num: number } {
  const many = config.misc.num_classes > ALL_UP_TO;
  const choice = labels === undefined ? (many ? 'random' : 'all') : parseLabels(labels, config, classes);
  const usual = choice === 'random' ? RANDOM : choice === 'all' ? config.misc.num_classes : choice.length;
  const available = noise === undefined ? Number.POSITIVE_INFINITY : noise.size(0) - first;
  const wanted = num ?? (noise === undefined ? usual : available);
  if (wanted > available || wanted < 1) {
    const what = `at most ${noise!.size(0)} with --first, as many as --noise holds`;
    throw new ConfigError(expected('--num', what, first + wanted));
  }
  return { choice, num: wanted };
}

/** Latents of several batches to pictures. A number that is none would come out as a black pixel: it is an error. */
function decodeAll(
  { rae }: LoadedGenerator,
  batches: Tensor[],
  at: { index: number; precision: SampleOptions['precision'] },
): Tensor {
  const pictures = tidy(() => {
    const pixels = decodeLatents(rae, batches.length === 1 ? batches[0]! : cat(batches, 0), at);
    if (pixels.isfinite().all().item() === 0) {
      throw new RaeError(
        'ERR_NON_FINITE',
        'rae sample: expected finite pixels, received NaN or infinity. Lower --guidance, or use --precision fp32.',
      );
    }
    return pixels;
  });
  dispose(batches);
  return pictures;
}

/** Columns of the grid: a class each where the labels take turns, else a square. */
function columnsOf(turns: number, num: number): number {
  return turns > 1 && turns <= 20 && num > turns ? turns : Math.ceil(Math.sqrt(num));
}

function speed(made: number, started: number): string {
  return made === 0 ? '' : `  ${figure(made / ((performance.now() - started) / 1000))} images/s`;
}

function whatStays(sinks: Sink, { out }: SampleOptions, next: number): string {
  return sinks.keeps ? `those in ${out} stay, --first ${next} goes on.` : 'nothing was written.';
}
