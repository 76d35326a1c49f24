// How good the latents of a run's samples are, in the encoder's own space: how many a linear probe assigns to the class asked for, and the
// Frechet distance of mean-pooled latents to those of the training pictures (it is not FID). Held-out pictures stand beside them.
//   npx tsx scripts/judge-latents.ts RUN TRAIN_PICTURES TEST_PICTURES [--num 1000] [--scales 1,2,3] [--threads N]

import { parseArgs } from 'node:util';
import { admCrop, openSource } from '../src/data/index.ts';
import { generateLatents, guidanceOf, samplerOf } from '../src/inference/generate.ts';
import { loadModel } from '../src/inference/load-model.ts';
import { dispose, setThreads } from '../src/tensor/index.ts';
import { encodeAll, fitProbe, latentFrechet, probeAccuracy } from '../src/train/judge.ts';
import { figure, percent, table } from '../src/util/format.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    num: { type: 'string', default: '1000' },
    scales: { type: 'string', default: '1,1.5,2,3' },
    threads: { type: 'string', default: '1' },
  },
});
const [run, trainPath, testPath] = positionals;
if (run === undefined || trainPath === undefined || testPath === undefined) {
  throw new Error('usage: judge-latents RUN TRAIN_PICTURES TEST_PICTURES');
}
setThreads(Number(values.threads));

const { rae, side, config, generator, step } = loadModel(run, { need: 'generator' });
const open = async (path: string) => encodeAll(rae, await openSource(path, { transform: admCrop(side) }));
const [train, test] = [await open(trainPath), await open(testPath)];
const probe = fitProbe(train);
const rows = [
  ['', 'assigned their class', 'Frechet distance'],
  [
    `${test.labels.length} held-out pictures`,
    percent(probeAccuracy(probe, test)),
    figure(latentFrechet(test.latents, train.latents)),
  ],
];
const labels = Array.from({ length: Number(values.num) }, (_, i) => i % config.misc.num_classes);
for (const scale of values.scales.split(',').map(Number)) {
  const guided = { ...config, guidance: { ...config.guidance, method: 'cfg' as const, scale } };
  const guidance = guidanceOf(guided, generator);
  const { latents } = generateLatents(guided, generator, labels, { ...samplerOf(config), guidance, seed: 0 });
  rows.push([
    `${labels.length} samples, guidance ${scale}`,
    percent(probeAccuracy(probe, { latents, labels })),
    figure(latentFrechet(latents, train.latents)),
  ]);
  dispose(latents);
}
console.log(`${run}, step ${step}`);
console.log(table(rows));
