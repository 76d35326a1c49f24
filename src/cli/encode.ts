// rae encode: pictures to latents, in one file with all of them, or in a cache that stage 2 trains on. Read, encoded and written in
// batches; memory does not grow with the folder.

import { type Command, Option } from 'commander';
import { inOrder } from '../data/index.ts';
import { encodePictures, portionOf } from '../inference/batches.ts';
import { checkEnding, LatentWriter } from '../inference/latent-file.ts';
import { type LoadedModel, loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { toPixels } from '../inference/pixels.ts';
import { noGrad, tidy } from '../tensor/index.ts';
import { cacheLatents } from '../train/cache-latents.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { bytes, count, duration, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { encoderDigest } from '../weights/index.ts';
import { beginVerb, type ModelOptions, modelVerb, stopIfInterrupted } from './model-options.ts';
import { modelPictures } from './model-pictures.ts';
import { integerOption, printResult } from './shared.ts';

interface EncodeOptions extends ModelOptions {
  input?: string;
  out?: string;
  num?: number;
  rawLatents?: boolean;
  cache?: string;
  flips?: boolean;
  store?: 'fp32' | 'bf16';
}

export function command(): Command {
  const example = [
    'rae encode --model runs/rae --input photos --out latents.safetensors',
    'rae encode --model runs/rae --input photos --cache latents --flips',
  ].join('\n');
  return modelVerb('encode', 'pictures to latents', example, 'weights of the encoder')
    .option(
      '--input <path>',
      "a picture, a folder of them, an archive, or 'embedded'; for --cache by default what the model was trained on",
    )
    .option('--out <file>', 'latents [N, C, h, w] with labels and paths: .safetensors or .npz')
    .option(
      '--cache <folder>',
      'instead of a file: raw latents in shards for `rae train dit --latents`; goes on where it was stopped',
    )
    .addOption(new Option('--flips', 'every picture mirrored, too').conflicts('out'))
    .addOption(
      new Option('--store <p>', 'numbers of the cache (default: fp32)').choices(['fp32', 'bf16']).conflicts('out'),
    )
    .addOption(
      new Option('--raw-latents', 'as the encoder gives them, without the statistics of the latents').conflicts(
        'cache',
      ),
    )
    .addOption(
      integerOption('--num <n>', 'at most so many pictures, spread evenly over the input', { min: 1 }).conflicts(
        'cache',
      ),
    )
    .action(run);
}

async function run(options: EncodeOptions): Promise<void> {
  const { out, cache, input } = options;
  if ((out === undefined) === (cache === undefined)) {
    throw new ConfigError(
      expected('rae encode', '--out FILE or --cache FOLDER', out === undefined ? 'neither' : 'both'),
    );
  }
  if (out === undefined) return runCache(options, cache!);
  checkEnding('--out', out);
  if (input === undefined) throw new ConfigError(expected('--input', 'a picture or a folder of them', 'none'));
  beginVerb(options);
  const model = loadModel(options.model, { ...options, need: 'encoder' });
  if (options.rawLatents) model.rae.setStatistics();
  const started = performance.now();
  const result = await encodeAll(model, { ...options, input, out });
  const seconds = (performance.now() - started) / 1000;
  log.done();
  const { pictures, shape, normalized, mean, std } = result;
  const text =
    `${out}: ${count(pictures)} latents [${shape.join(', ')}], ${normalized ? 'normalised' : 'raw'}, ` +
    `mean ${figure(mean)}, deviation ${figure(std)}; ${bytes(pictures * 4 * shape.reduce((a, b) => a * b, 1))} in ${duration(seconds)}`;
  printResult(options, { out, ...result, seconds }, text);
}

async function runCache(options: EncodeOptions, folder: string): Promise<void> {
  const { input, flips = false, store = 'fp32', precision = 'fp32' } = options;
  beginVerb(options);
  const { rae, side, config, stats } = loadModel(options.model, { ...options, need: 'encoder' });
  rae.setStatistics(); // the cache holds raw latents
  const exif = config?.data.exif ?? true;
  const opened =
    input === undefined ? undefined : await openInput(input, { side, exif, seed: config?.data.synthetic?.seed });
  const source = opened?.source ?? (await modelPictures(config, { flag: '--input', side }));
  const started = performance.now();
  const made = await cacheLatents({
    rae,
    encoder: encoderDigest(rae.encoder),
    source,
    nameOf: opened?.nameOf ?? ((index) => source.describe(index)),
    exif,
    folder,
    flips,
    dtype: store === 'bf16' ? 'bf16' : 'f32',
    precision,
    statistics: stats,
    onProgress: (done) => {
      log.live(`${count(done)}/${count(source.size)} pictures`);
      stopIfInterrupted(() => `the shards before picture ${count(done)} are in '${folder}'; the same command goes on.`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  const { shards, shape } = made.manifest;
  const pictures = made.present;
  made.dispose();
  log.done();
  const size = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  const result = { cache: folder, pictures, unreadable: source.size - pictures, shape, flips, store, bytes: size };
  const text =
    `${folder}: ${count(pictures)} latents [${shape.join(', ')}]${flips ? ', mirrored ones too' : ''}, raw, in ${store}; ` +
    `${bytes(size)} in ${shards.length} shards, ${duration(seconds)}`;
  printResult(options, { ...result, seconds }, text);
}

async function encodeAll(
  model: LoadedModel,
  { input, out, num, precision, rawLatents }: EncodeOptions & { input: string; out: string },
) {
  const { rae, side, config } = model;
  const shape = rae.latentShape;
  const normalized = model.normalized && !rawLatents;
  const { exif, synthetic } = config?.data ?? {};
  const { source, nameOf } = await openInput(input, { side, num, exif, seed: synthetic?.seed });
  const writer = new LatentWriter(out);
  const sums = { value: 0, square: 0 };
  try {
    for await (const { images, labels, indices } of inOrder(source, { batch: portionOf(rae) })) {
      const latents = noGrad(() =>
        tidy(() => encodePictures(rae, toPixels(images, [labels.length, side, side]), { precision })),
      );
      writer.add(latents.toBytes(), labels, Array.from(indices, nameOf));
      tidy(() => {
        const wide = latents.to('f64');
        sums.value += wide.sum().item();
        sums.square += wide.square().sum().item();
      });
      latents.dispose();
      log.live(`${count(writer.count)}/${count(source.size)} pictures`);
      stopIfInterrupted(() => `after ${writer.count} of ${source.size} pictures; nothing was written.`);
    }
    if (writer.count === 0)
      throw new DataError(`--input: none of the ${source.size} pictures of '${input}' can be read.`);
    writer.finish(shape, { normalized, classes: source.classes });
  } finally {
    writer.dispose();
  }
  const numbers = writer.count * shape.reduce((a, b) => a * b, 1);
  const mean = sums.value / numbers;
  const std = Math.sqrt(Math.max(0, sums.square / numbers - mean ** 2));
  return { pictures: writer.count, unreadable: source.size - writer.count, shape, normalized, mean, std };
}
