// How good the latents of runs' samples are, in the encoder's own space: how many a linear probe assigns to the class asked for; Frechet
// distance (it is not FID), precision and recall of mean-pooled latents against held-out pictures. The held-out pictures' labels are those asked
// for, in their order, so that both sets mix the classes alike; as many training pictures stand for the best there can be.
//   npx tsx scripts/judge-latents.ts RUN... --latents CACHE --held-out CACHE[,CACHE] [--scales 1,2] [--samplers euler:50,heun:26]
//     [--interval 0,1] [--seed 0] [--precision bf16] [--threads 1] [--out results.jsonl]
// Caches are those of `rae encode --cache`; a line of JSON for each row is appended to --out, for `rae plot table`.

import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { LatentCache } from '../src/data/index.ts';
import { generateLatents, guidanceOf, samplerOf } from '../src/inference/generate.ts';
import { loadModel } from '../src/inference/load-model.ts';
import { frechetDistanceOfFeatures } from '../src/metrics/frechet.ts';
import { precisionRecall } from '../src/metrics/precision-recall.ts';
import type { Rae } from '../src/models/rae.ts';
import { cat, dispose, setThreads, tidy } from '../src/tensor/index.ts';
import { fitProbe, type LabelledLatents, pooledLatents, probeAccuracy } from '../src/train/judge.ts';
import { figure, percent, table } from '../src/util/format.ts';

const { positionals: runs, values } = parseArgs({
  allowPositionals: true,
  options: {
    latents: { type: 'string' },
    'held-out': { type: 'string' },
    scales: { type: 'string', default: '1' },
    samplers: { type: 'string' },
    interval: { type: 'string', default: '0,1' },
    seed: { type: 'string', default: '0' },
    precision: { type: 'string', default: 'fp32' },
    threads: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
if (runs.length === 0 || values.latents === undefined || values['held-out'] === undefined) {
  throw new Error('usage: judge-latents RUN... --latents CACHE --held-out CACHE[,CACHE] (more in the file)');
}
setThreads(Number(values.threads));
const precision = values.precision === 'bf16' ? 'bf16' : 'fp32';

/** All of caches, normalised as `rae` does. */
function read(rae: Rae, folders: string): LabelledLatents {
  const caches = folders.split(',').map((folder) => LatentCache.open(folder));
  const present = caches.map((cache) => [...Array(cache.size).keys()].filter((i) => cache.label(i) !== undefined));
  return {
    latents: tidy(() =>
      rae.normalize(
        cat(
          caches.map((cache, i) => cache.read(present[i]!)),
          0,
        ),
      ),
    ),
    labels: caches.flatMap((cache, i) => present[i]!.map((index) => cache.label(index)!)),
  };
}

const rows: Record<string, string | number>[] = [];
function judge(what: Record<string, string | number>, made: LabelledLatents, real: LabelledLatents): void {
  const figures = tidy(() => {
    const [reference, features] = [pooledLatents(real.latents), pooledLatents(made.latents)];
    const { precision, recall } = precisionRecall(reference, features);
    return { frechet: frechetDistanceOfFeatures(features, reference), precision, recall };
  });
  const row = { ...what, num: made.labels.length, probe: probeAccuracy(probe, made), ...figures };
  rows.push(row);
  if (values.out) appendFileSync(values.out, `${JSON.stringify(row)}\n`);
}

const first = loadModel(runs[0]!, { need: 'generator' });
const [train, heldOut] = [read(first.rae, values.latents), read(first.rae, values['held-out'])];
const probe = fitProbe(train);
const share = heldOut.labels.map((_, i) => Math.floor((i * train.labels.length) / heldOut.labels.length));
judge(
  { run: 'training pictures' },
  {
    latents: cat(
      share.map((i) => train.latents.narrow(0, i, 1)),
      0,
    ),
    labels: share.map((i) => train.labels[i]!),
  },
  heldOut,
);
rows.push({ run: 'held-out pictures', num: heldOut.labels.length, probe: probeAccuracy(probe, heldOut) });

const [t_min = 0, t_max = 1] = values.interval.split(',').map(Number);
for (const run of runs) {
  const { config, generator, step = 0 } = loadModel(run, { need: 'generator', precision });
  const { sampling_method, num_steps } = config.sampler.params;
  for (const sampler of (values.samplers ?? `${sampling_method}:${num_steps}`).split(',')) {
    const [method = '', steps] = sampler.split(':');
    for (const scale of values.scales.split(',').map(Number)) {
      const guided = { ...config, guidance: { method: 'cfg' as const, scale, t_min, t_max } };
      const { latents, evaluations } = generateLatents(guided, generator, heldOut.labels, {
        ...samplerOf(config),
        method,
        steps: Number(steps),
        guidance: guidanceOf(guided, generator),
        precision,
        seed: Number(values.seed),
      });
      judge(
        { run: basename(run), step, method, steps: Number(steps), evaluations, scale },
        { latents, labels: heldOut.labels },
        heldOut,
      );
      dispose(latents);
    }
  }
}

const shares = ['probe', 'precision', 'recall'];
function cell(key: string, value: string | number = ''): string {
  if (typeof value === 'string') return value;
  return shares.includes(key) ? percent(value) : figure(value);
}
const columns = [
  'run',
  'step',
  'method',
  'steps',
  'evaluations',
  'scale',
  'num',
  'probe',
  'frechet',
  'precision',
  'recall',
];
console.log(table([columns, ...rows.map((row) => columns.map((key) => cell(key, row[key])))]));
