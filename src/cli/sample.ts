// rae sample: pictures from noise. Picture i of a seed is the same whatever --num, --batch and --first are. Everything is streamed: what
// was made goes to the outputs (sample-output.ts) before the next is begun, and a command that was killed goes on where it was
// (inference/ledger.ts). What the options mean is in sample-options.ts.

import { type Command, Option } from 'commander';
import { networkBatch } from '../inference/batches.ts';
import { tokensOf } from '../inference/generate.ts';
import { describeGuidance } from '../inference/guidance-choice.ts';
import { labelsFor } from '../inference/labels.ts';
import { Ledger } from '../inference/ledger.ts';
import { loadModel } from '../inference/load-model.ts';
import { samplePictures } from '../inference/sample.ts';
import { count, counted, duration, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, modelVerb, stopIfInterrupted } from './model-options.ts';
import { labelsAndNumber, readNoise, type SampleOptions } from './sample-options.ts';
import { checkOutputs, ledgerTarget, openSinks } from './sample-output.ts';
import { engineFacts, requestOf } from './sample-request.ts';
import {
  describeSampler,
  guidanceFrom,
  samplerFrom,
  withFreshOptions,
  withSamplingOptions,
} from './sampling-options.ts';
import { integerOption, printResult } from './shared.ts';

export function command(): Command {
  const example = [
    'rae sample --model runs/dit --labels all --num 80 --out samples.png',
    'rae sample --config configs/DiTDH-XL.yaml --labels 207,360 --out sample.png',
    'rae sample --model runs/dit --labels 207,360 --guidance cfg:1.5@0.1-0.9 --num 50 --out samples --npz samples.npz',
  ].join('\n');
  const verb = modelVerb('sample', 'pictures from noise', example, 'weights of the generator')
    .option('--out <path>', 'FILE.png for a grid, or a folder for one PNG each')
    .option('--npz <file>', 'all pictures as arr_0, uint8 [N, H, W, 3], and their labels as arr_1')
    .option(
      '--labels <list>',
      "classes by number or name, taken in turn: '207,360', 'dress,hat'; or all, random, equal",
    )
    .addOption(integerOption('--num <n>', 'pictures (default: one for each label)', { min: 1 }))
    .addOption(integerOption('--first <n>', 'index of the first picture', { min: 0, default: 0 }))
    .addOption(
      integerOption('--batch <n>', 'pictures held at once; they are the same whatever it is', { min: 1, default: 32 }),
    )
    .addOption(
      new Option('--rounding <how>', 'to bytes (default: a grid is rounded, PNGs and npz truncated)').choices([
        'round',
        'truncate',
      ]),
    )
    .option('--restart', 'begin anew where another request was left unfinished')
    .option('--noise <file>', 'starting noise [N, C, h, w] instead of drawn: .safetensors, .npz or .npy');
  return withFreshOptions(withSamplingOptions(verb)).action(run);
}

async function run(given: SampleOptions): Promise<void> {
  const options = withOutput(given);
  checkOutputs(options);
  beginVerb(options);

  // ── what to make ──────────────────────────────────────
  const model = loadModel(options.model, { ...options, need: 'generator' });
  const sampler = samplerFrom(model.config, options);
  const { config } = model;
  const { choice: guiding, guidance, guide } = guidanceFrom(model, options);
  const noise = options.noise === undefined ? undefined : readNoise(options.noise, model);
  const { choice, num } = labelsAndNumber(options, model, noise);
  const { first, seed, precision, batch: portion, out, npz, restart } = options;
  const labelOf = labelsFor(config, choice, { seed, num });
  const turns = choice === 'all' ? config.misc.num_classes : typeof choice === 'string' ? 1 : choice.length;
  log.info(
    `${counted(num, 'picture')} of ${model.side} x ${model.side}: ${describeSampler(sampler)}, ${describeGuidance(guiding)}, seed ${seed}`,
  );

  // ── what is made already ──────────────────────────────
  const target = ledgerTarget(options);
  const asked = { sampler, guiding, choice, num, guide, noise };
  const ledger =
    target &&
    new Ledger(target.target, {
      ...target,
      request: requestOf(options, model, asked),
      engine: engineFacts(),
      restart,
    });
  const before = Math.min(ledger?.done ?? 0, num);
  if (before > 0) log.info(`${target!.target}.part holds ${count(before)} of them: going on there`);
  const sinks = openSinks(options, { side: model.side, columns: columnsOf(turns, num), num, first, labelOf }, ledger);

  // ── make the rest ─────────────────────────────────────
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  let made = 0;
  let evaluations: number | undefined;
  const stop = () =>
    stopIfInterrupted(() => {
      const left = target ? 'they stay, the same command goes on' : 'nothing was written';
      return `after ${before + made} of ${num} pictures; ${left}.`;
    });
  const onStep = ({ step, of }: { step: number; of: number }) => {
    stop();
    const left = (num - before - made) / (made / elapsed());
    const speed = made === 0 ? '' : `  ${figure(made / elapsed())} images/s  ${duration(left)} left`;
    log.live(`${count(before + made)}/${count(num)} pictures  step ${step}/${of}${speed}`);
  };
  try {
    const wanted = { first: first + before, num: num - before };
    const how = { ...sampler, guidance, seed, noise, precision, portion, onStep, ...wanted };
    for await (const { index, labels, pixels, ...cost } of samplePictures(model, labelOf, how)) {
      await sinks.add(pixels, index);
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
  const result = {
    out,
    npz,
    pictures: num,
    madeBefore: before,
    first,
    side: model.side,
    labels: Array.from({ length: num }, (_, i) => labelOf(first + i)),
    seed,
    checkpoint: model.step,
    sampler: sampler.method,
    steps: sampler.steps,
    end: sampler.end,
    sde: sampler.sde ?? null,
    guidance: Object.keys(guiding).length > 0 ? guiding : null,
    reuseEncoder: sampler.reuseEncoder ?? 1,
    evaluations: evaluations ?? null,
    networkBatch: networkBatch(tokensOf(model.generator)),
    precision,
    seconds,
    imagesPerSecond: made / seconds,
  };
  const where = [out, npz].filter((path) => path !== undefined).join(', ');
  const cost = evaluations === undefined ? '' : `, ${evaluations} evaluations each`;
  const speed = `${count(made)} made in ${duration(seconds)}, ${figure(made / seconds)} images/s`;
  const text = before === 0 ? speed.replace('made', 'pictures') : `${counted(num, 'picture')}, ${speed}`;
  printResult(options, result, `${where}: ${text}${cost}`);
}

/** With --config alone the picture has the reference's name. */
function withOutput(options: SampleOptions): SampleOptions {
  const { config, out, npz } = options;
  return config !== undefined && out === undefined && npz === undefined ? { ...options, out: 'sample.png' } : options;
}

/** Columns of the grid: a class each where the labels take turns, else a square. */
function columnsOf(turns: number, num: number): number {
  return turns > 1 && turns <= 20 && num > turns ? turns : Math.ceil(Math.sqrt(num));
}
