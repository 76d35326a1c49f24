// rae demo: the whole system on the embedded set, in a few minutes on two CPU cores. The shipped model reconstructs and samples; then
// decoder, statistics and DiT^DH are trained afresh while one watches; then both are judged by the same figures.
// `--full` trains encoder, decoder and generator from scratch to the end, with the recipes that made the shipped weights.

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { resolveConfig } from '../config/index.ts';
import { recipe } from '../recipes/index.ts';
import { setThreads } from '../tensor/index.ts';
import { ConfigError } from '../util/errors.ts';
import { duration, figure, percent, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { makeFolder } from '../util/storage.ts';
import { type Figures, judgeModel } from './demo-figures.ts';
import { stopIfInterrupted } from './model-options.ts';
import { integerOption, numberOption, printResult, type VerbOptions, verb } from './shared.ts';
import type { TrainOptions } from './train.ts';

interface DemoOptions extends VerbOptions {
  out: string;
  full?: boolean;
  seconds: number;
  threads?: number;
}

export function command(): Command {
  return verb(
    'demo',
    'train and sample a small RAE and DiT^DH on drawn pictures',
    'rae demo\nrae demo --full --out runs/full',
  )
    .option('--out <folder>', 'where pictures and runs go', 'runs/demo')
    .option('--full', 'train all three stages to the end, as the shipped weights were (tens of minutes)')
    .addOption(numberOption('--seconds <n>', 'how long the fresh models train', { min: 1, default: 165 }))
    .addOption(integerOption('--threads <n>', 'CPU threads', { min: 1 }))
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  const { out } = options;
  const started = performance.now();
  if (options.json) log.quiet = true;
  if (options.threads !== undefined) setThreads(options.threads);
  checkOut(out);
  makeFolder(out);

  log.info(
    'The shipped model: 32 x 32 pictures of ten classes that rae draws itself; an encoder, a decoder and a DiT^DH.',
  );
  const shipped = await judgeModel('embedded', { out, name: 'shipped' });
  say(out, 'shipped', shipped);

  const run = await (options.full ? trainToTheEnd(options) : trainBriefly(options));
  const fresh = await judgeModel(run, { out, name: 'fresh' });
  stopIfInterrupted(() => `the fresh models are trained and lie in ${out}.`);
  say(out, 'fresh', fresh);

  const result = { out, shipped, fresh, seconds: (performance.now() - started) / 1000 };
  writeFileSync(join(out, 'figures.json'), `${JSON.stringify(result, null, 1)}\n`);
  printResult(options, result, report(result, options));
}

/** Runs of an earlier demo are replaced; runs beside which no demo has left its pictures are somebody's. */
function checkOut(out: string): void {
  const run = ['encoder', 'rae', 'dit'].map((name) => join(out, name)).find((folder) => existsSync(folder));
  if (run === undefined || existsSync(join(out, 'shipped.png'))) return;
  throw new ConfigError(
    `--out: expected a folder of its own for the demo, which would replace '${run}', received '${out}'. Name another.`,
  );
}

/** 30 % of the time for the decoder, the rest for the generator, both over the shipped encoder. Returns the generator's run. */
async function trainBriefly({ out, seconds }: DemoOptions): Promise<string> {
  const [rae, dit] = [join(out, 'rae'), join(out, 'dit')];
  const [first, second] = [0.3, 0.7].map((share) => Math.max(1, Math.round(seconds * share))) as [number, number];
  log.info(
    `\nFresh: a decoder for ${first} s, then a DiT^DH for ${second} s. Their grids grow in ${rae}/samples and ${dit}/samples.`,
  );
  await trainOne('rae', rae, { seconds: first, set: BRIEF });
  await trainOne('dit', dit, { rae, seconds: second, set: BRIEF });
  return dit;
}

/** Fewer pictures, so that drawing them takes no time from training. */
const FEW = { synthetic: { seed: 0, train_size: 6000 } };

/** Rates that do not wait for a decay which three minutes never reach, and grids often enough to watch. */
const BRIEF = {
  scheduler: { type: 'constant', warmup_steps: 50, warmup_from_zero: true },
  sample_every: 250,
  checkpoint_every: 100_000,
} as const;

/** The three recipes one after the other. Returns the generator's run. */
async function trainToTheEnd({ out }: DemoOptions): Promise<string> {
  const [encoder, rae, dit] = ['encoder', 'rae', 'dit'].map((name) => join(out, name)) as [string, string, string];
  log.info('\nFrom scratch, to the end of the recipes: encoder, decoder, DiT^DH.');
  await trainOne('encoder', encoder, {});
  await trainOne('rae', rae, { encoder });
  await trainOne('dit', dit, { rae });
  return dit;
}

async function trainOne(
  stage: 'encoder' | 'rae' | 'dit',
  out: string,
  { set, encoder, ...more }: Pick<TrainOptions, 'rae' | 'seconds'> & { encoder?: string; set?: typeof BRIEF },
): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  const input = recipe(`embedded-${stage}`);
  const params = { ...input.stage_1?.params, ...(encoder && { encoder_config_path: encoder }) };
  const config = resolveConfig(
    {
      ...input,
      stage_1: { params },
      training: { ...input.training, ...set },
      data: { ...input.data, ...(set && FEW) },
    },
    { name: `recipe embedded-${stage}` },
  );
  const { trainStage } = await import('./train-stage.ts');
  await trainStage(stage, config, { out, ...more });
}

function say(out: string, name: string, { psnr, accuracy }: Figures): void {
  log.info(`  ${join(out, `${name}-reconstructions.png`)}  ${psnr.toFixed(1)} dB`);
  log.info(`  ${join(out, `${name}-samples.png`)}  ${percent(accuracy)} of the samples look like their class`);
}

interface Result {
  out: string;
  shipped: Figures;
  fresh: Figures;
  seconds: number;
}

function report({ out, shipped, fresh, seconds }: Result, { full }: DemoOptions): string {
  const row = (name: string, show: (x: number) => string, a: number, b: number, real?: number) => [
    name,
    show(a),
    show(b),
    real === undefined ? '' : show(real),
  ];
  const rows = [
    ['', 'shipped', full ? 'trained to the end' : 'fresh', 'real pictures'],
    row('PSNR of reconstructions, dB', (x) => x.toFixed(2), shipped.psnr, fresh.psnr),
    row('samples that a probe assigns their class', percent, shipped.accuracy, fresh.accuracy, shipped.real.accuracy),
    row('Frechet distance of latents', figure, shipped.frechet, fresh.frechet, shipped.real.frechet),
    row('distance between pictures of a class', figure, shipped.spread, fresh.spread, shipped.real.spread),
  ];
  return [
    '',
    table(rows),
    'The probe is linear, trained on latents of real pictures; chance is 10 %. Real pictures are held out. Frechet distance between mean-pooled',
    'encoder latents of samples (or of held-out pictures) and of training pictures: it is not FID.',
    '',
    `In ${out}: shipped*.png and fresh*.png, figures.json, and the runs (config.yaml, metrics.jsonl, samples/, checkpoints/). ${duration(seconds)}.`,
    '',
    'Next, your own photographs (one sub-folder per class, or a flat folder):',
    '  rae train encoder --data PHOTOS --out runs/encoder',
    '  rae train rae --encoder runs/encoder --data PHOTOS --out runs/rae',
    '  rae train dit --rae runs/rae --data PHOTOS --out runs/dit',
    '  rae sample --model runs/dit --labels all --out samples.png',
  ].join('\n');
}
