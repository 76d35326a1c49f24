// rae plot nearest: does a model memorise? Each sample beside the training pictures that lie nearest to it in the encoder's features (mean
// of its tokens, by cosine), and how near they are, against what held-out pictures find there.

import type { Command } from 'commander';
import { Draws, inOrder, type PictureSource } from '../data/index.ts';
import { encodePictures, portionOf } from '../inference/batches.ts';
import { loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { toPixels } from '../inference/pixels.ts';
import { encodeGrid } from '../io/grid.ts';
import { nearest } from '../metrics/knn.ts';
import type { Rae } from '../models/rae.ts';
import { cat, noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { count, figure, percent } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, type ModelOptions, modelVerb, stopIfInterrupted } from './model-options.ts';
import { integerOption, printResult } from './shared.ts';

interface NearestOptions extends ModelOptions {
  input: string;
  reference: string;
  heldOut?: string;
  out: string;
  num: number;
  k: number;
}

export function nearestCommand(): Command {
  const example =
    'rae plot nearest --model runs/rae --input samples --reference photos/train --held-out photos/test --out nearest.png';
  return modelVerb('nearest', 'samples beside the training pictures nearest to them', example, 'weights of the encoder')
    .requiredOption('--input <path>', 'the samples: a folder of pictures or an archive')
    .requiredOption('--reference <path>', 'the training pictures')
    .option('--held-out <path>', 'real pictures that were not trained on, for comparison')
    .requiredOption('--out <file>', 'the sheet: .png')
    .addOption(
      integerOption('--num <n>', 'samples on the sheet, those nearest to a training picture first', {
        min: 1,
        max: 64,
        default: 12,
      }),
    )
    .addOption(integerOption('--k <n>', 'neighbours of each', { min: 1, max: 16, default: 5 }))
    .action(run);
}

async function run(options: NearestOptions): Promise<void> {
  const { model: name, out, num, k } = options;
  if (!/\.png$/i.test(out)) throw new ConfigError(expected('--out', 'a name ending in .png', out));
  beginVerb(options);
  const { rae, side, config } = loadModel(name, { ...options, need: 'encoder' });
  const open = async (path: string) => (await openInput(path, { side, exif: config?.data.exif })).source;
  const [samples, reference] = [await open(options.input), await open(options.reference)];
  const heldOut = options.heldOut === undefined ? undefined : await open(options.heldOut);
  const features = await featuresOf(reference, rae, options);
  if (features.indices.length < k)
    throw new ConfigError(expected('--k', `at most the ${features.indices.length} training pictures`, k));
  const found = neighbours(await featuresOf(samples, rae, options), features, k);
  const others = heldOut && neighbours(await featuresOf(heldOut, rae, options), features, 1);
  features.rows.dispose();

  const shown = [...found].sort((a, b) => b.near[0]!.similarity - a.near[0]!.similarity).slice(0, num);
  const sheet: Tensor[] = [];
  for (const { index, near } of shown) {
    sheet.push(await picture(samples, index));
    for (const { index: other } of near) sheet.push(await picture(reference, other));
  }
  const images = cat(sheet, 0);
  writeFileAtomic(out, await encodeGrid(images, { nrow: k + 1, padValue: 1 }));
  for (const tensor of [images, ...sheet]) tensor.dispose();
  const result = { out, samples: summary(found), heldOut: others && summary(others) };
  printResult(
    options,
    result,
    `${out}: a sample, then its ${k} nearest, a row\n${describe(result.samples, 'samples')}${result.heldOut ? `\n${describe(result.heldOut, 'held-out pictures')}` : ''}`,
  );
}

interface Features {
  /** [N, C] */
  rows: Tensor;
  /** Numbers of the rows in their source. */
  indices: number[];
}

async function featuresOf(source: PictureSource, rae: Rae, { precision }: NearestOptions): Promise<Features> {
  const parts: Tensor[] = [];
  const indices: number[] = [];
  for await (const batch of inOrder(source, { batch: portionOf(rae) })) {
    const pixels = [batch.labels.length, source.side, source.side] as const;
    parts.push(
      noGrad(() => tidy(() => encodePictures(rae, toPixels(batch.images, pixels), { precision }).mean([2, 3]))),
    );
    indices.push(...batch.indices);
    log.live(`${source.name}: ${count(indices.length)}/${count(source.size)} pictures`);
    stopIfInterrupted(() => 'nothing was written.');
  }
  log.done();
  if (parts.length === 0) throw new DataError(`${source.name}: none of its pictures can be read.`);
  const rows = cat(parts, 0);
  for (const part of parts) part.dispose();
  return { rows, indices };
}

interface Found {
  /** Of the sample. */
  index: number;
  near: { index: number; similarity: number }[];
}

/** Frees the queries. */
function neighbours(queries: Features, reference: Features, k: number): Found[] {
  const found = nearest(queries.rows, reference.rows, k);
  queries.rows.dispose();
  return found.map((near, i) => ({
    index: queries.indices[i]!,
    near: near.map(({ index, similarity }) => ({ index: reference.indices[index]!, similarity })),
  }));
}

async function picture(source: PictureSource, index: number): Promise<Tensor> {
  const bytes = new Uint8Array(source.side ** 2 * 3);
  await source.read(index, new Draws(0, index), bytes);
  return toPixels(bytes, [1, source.side, source.side]);
}

interface Nearness {
  pictures: number;
  /** Cosine to the nearest training picture: mean, and the largest. */
  mean: number;
  largest: number;
  /** Share of pictures that are all but a training picture. */
  copies: number;
}

/** From here on two pictures are the same to the encoder, give or take compression. */
const COPY = 0.99;

function summary(found: readonly Found[]): Nearness {
  const nearestOnes = found.map(({ near }) => near[0]!.similarity);
  return {
    pictures: found.length,
    mean: nearestOnes.reduce((sum, value) => sum + value, 0) / found.length,
    largest: nearestOnes.reduce((most, value) => Math.max(most, value), -1),
    copies: nearestOnes.filter((value) => value > COPY).length / found.length,
  };
}

function describe({ pictures, mean, largest, copies }: Nearness, what: string): string {
  return `${count(pictures)} ${what}: cosine to the nearest training picture ${figure(mean)} on average, ${figure(largest)} at most; ${percent(copies)} above ${COPY}`;
}
