// rae sample: pictures from noise. Picture i of a seed is the same whatever --num, --batch and --first are. Everything is streamed: what
// was made goes to the outputs (sample-output.ts) before the next is begun. What the options mean is in sample-options.ts.

import { type Command, Option } from 'commander';
import { networkBatch } from '../inference/batches.ts';
import { tokensOf } from '../inference/generate.ts';
import { labelsFor } from '../inference/labels.ts';
import { loadModel } from '../inference/load-model.ts';
import { samplePictures } from '../inference/sample.ts';
import { count, duration, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, modelVerb, stopIfInterrupted } from './model-options.ts';
import {
  describeGuidance,
  describeSampler,
  labelsAndNumber,
  readNoise,
  type SampleOptions,
  samplerFrom,
  withGuidance,
} from './sample-options.ts';
import { checkOutputs, openSinks } from './sample-output.ts';
import { integerOption, printResult } from './shared.ts';

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

  // ── what to make ──────────────────────────────────────
  const model = loadModel(options.model, { ...options, need: 'generator' });
  const sampler = samplerFrom(model.config, options);
  const { config, guidance } = withGuidance(model, options);
  const noise = options.noise === undefined ? undefined : readNoise(options.noise, model);
  const { choice, num } = labelsAndNumber(options, model, noise);
  const labelOf = labelsFor(config, choice, options);
  const { first, seed, precision, batch: portion, out, npz } = options;
  const turns = choice === 'all' ? config.misc.num_classes : choice === 'random' ? 1 : choice.length;
  log.info(
    `${count(num)} pictures of ${model.side} x ${model.side}: ${describeSampler(sampler)}, ${describeGuidance(config.guidance)}, seed ${seed}`,
  );

  // ── make them ─────────────────────────────────────────
  const sinks = openSinks(options, { side: model.side, columns: columnsOf(turns, num), num, first });
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  let [made, evaluations] = [0, 0];
  const stop = () =>
    stopIfInterrupted(() => {
      const left = sinks.keeps ? `those in ${out} stay, --first ${first + made} goes on` : 'nothing was written';
      return `after ${made} of ${num} pictures; ${left}.`;
    });
  const onStep = ({ step, of }: { step: number; of: number }) => {
    stop();
    const speed = made === 0 ? '' : `  ${figure(made / elapsed())} images/s`;
    log.live(`${count(made)}/${count(num)} pictures  step ${step}/${of}${speed}`);
  };
  try {
    const asked = { ...sampler, config, guidance, seed, noise, precision, portion, first, num, onStep };
    for await (const { index, labels, pixels, ...cost } of samplePictures(model, labelOf, asked)) {
      await sinks.add(pixels, { index, labels });
      made += labels.length;
      evaluations = cost.evaluations;
      stop();
    }
    log.done();
    await sinks.finish();
  } finally {
    sinks.dispose();
    noise?.dispose();
  }

  // ── say so ────────────────────────────────────────────
  const seconds = elapsed();
  const { guidance_model, ...guiding } = config.guidance;
  const result = {
    out,
    npz,
    pictures: num,
    first,
    side: model.side,
    labels: Array.from({ length: num }, (_, i) => labelOf(first + i)),
    seed,
    checkpoint: model.step,
    sampler: sampler.method,
    steps: sampler.steps,
    end: sampler.end,
    guidance: guiding.scale > 1 ? guiding : null,
    evaluations,
    networkBatch: networkBatch(tokensOf(model.generator)),
    precision,
    seconds,
    imagesPerSecond: num / seconds,
  };
  const where = [out, npz].filter((path) => path !== undefined).join(', ');
  printResult(
    options,
    result,
    `${where}: ${count(num)} pictures in ${duration(seconds)}, ${figure(num / seconds)} images/s, ${evaluations} evaluations each`,
  );
}

/** Columns of the grid: a class each where the labels take turns, else a square. */
function columnsOf(turns: number, num: number): number {
  return turns > 1 && turns <= 20 && num > turns ? turns : Math.ceil(Math.sqrt(num));
}
