// rae stats: mean and variance of an RAE's latents at every position, by which stage 2 normalises them (spec 3.1). Exact by default;
// --momentum repeats the reference's running average, whose result depends on batch size and order.

import type { Command } from 'commander';
import { checkEnding } from '../inference/latent-file.ts';
import { loadModel } from '../inference/load-model.ts';
import { saveNpz } from '../io/npz.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import { dispose, type Tensor, tidy } from '../tensor/index.ts';
import { latentStatistics } from '../train/latent-statistics.ts';
import { count, duration, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, stopIfInterrupted, threadsOption } from './model-options.ts';
import { modelPictures } from './model-pictures.ts';
import { integerOption, numberOption, printResult, type VerbOptions, verb } from './shared.ts';

interface StatsOptions extends VerbOptions {
  rae: string;
  data?: string;
  out: string;
  momentum?: boolean;
  momentumWeight: number;
  batch: number;
  seed: number;
  threads?: number;
}

export function command(): Command {
  const example = 'rae stats --rae runs/rae --data photos --out stats.safetensors';
  return verb('stats', 'mean and variance of the latents of a set of pictures', example)
    .requiredOption('--rae <path>', "a run of 'train rae', a configuration, an encoder, or 'embedded'")
    .option('--data <path>', "pictures (default: those that the run's configuration names)")
    .requiredOption('--out <file>', 'where to write mean and var: .safetensors or .npz')
    .option(
      '--momentum',
      "the reference's running average over shuffled, mirrored batches instead of the exact moments",
    )
    .addOption(numberOption('--momentum-weight <w>', 'weight of the newest batch', { min: 0, max: 1, default: 0.1 }))
    .addOption(integerOption('--batch <n>', 'batch size of --momentum', { min: 1, default: 256 }))
    .addOption(integerOption('--seed <n>', 'order and mirroring of --momentum', { min: 0, default: 0 }))
    .addOption(threadsOption())
    .action(run);
}

async function run(options: StatsOptions): Promise<void> {
  const { out, momentum } = options;
  checkEnding('--out', out);
  beginVerb(options);
  const { rae, side, config } = loadModel(options.rae, { need: 'encoder', flag: '--rae' });
  rae.setStatistics(); // the moments of raw latents
  // mirrored by chance for --momentum, as in the reference
  const source = await modelPictures(config, { data: options.data, flag: '--data', side, flip: momentum ?? false });
  const started = performance.now();
  const moments = await latentStatistics(rae, source, {
    momentum: momentum ? { weight: options.momentumWeight, batch: options.batch, seed: options.seed } : undefined,
    onProgress: (done, of) => {
      stopIfInterrupted(() => `after ${count(done)} of ${count(of)} pictures; nothing was written.`);
      log.live(`${count(done)}/${count(of)} pictures`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  log.done();
  save(out, moments.mean, moments.variance, { pictures: String(source.size), mode: momentum ? 'momentum' : 'exact' });
  const summary = tidy(() => ({
    meanVariance: moments.variance.mean().item(),
    meanDeviation: moments.variance.sqrt().mean().item(),
  }));
  const result = {
    out,
    pictures: source.size,
    mode: momentum ? 'momentum' : 'exact',
    shape: rae.latentShape,
    ...summary,
  };
  dispose([moments.mean, moments.variance]);
  const text =
    `${out}: mean and var [${rae.latentShape.join(', ')}] of ${count(source.size)} pictures in ${duration(seconds)}; ` +
    `the variance is ${figure(summary.meanVariance)} on average`;
  printResult(options, { ...result, seconds }, text);
}

function save(out: string, mean: Tensor, variance: Tensor, metadata: Record<string, string>): void {
  const tensors = new Map([
    ['mean', mean],
    ['var', variance],
  ]);
  if (out.endsWith('.safetensors')) {
    saveSafetensors(out, tensors, metadata);
    return;
  }
  const arrays = [...tensors].map(
    ([name, t]) => [name, { dtype: 'f32', shape: t.shape, data: t.toArray() as Float32Array }] as const,
  );
  saveNpz(out, new Map(arrays));
}
