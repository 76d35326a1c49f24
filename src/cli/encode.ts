// rae encode: pictures to latents, one file with all of them. Read, encoded and written in batches; memory does not grow with the folder.

import type { Command } from 'commander';
import { inOrder } from '../data/index.ts';
import { encodePictures, portionOf } from '../inference/batches.ts';
import { checkEnding, LatentWriter } from '../inference/latent-file.ts';
import { type LoadedModel, loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { toPixels } from '../inference/pixels.ts';
import { noGrad, tidy } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import { bytes, count, duration, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, type ModelOptions, modelVerb, stopIfInterrupted } from './model-options.ts';
import { integerOption, printResult } from './shared.ts';

interface EncodeOptions extends ModelOptions {
  input: string;
  out: string;
  num?: number;
  rawLatents?: boolean;
}

export function command(): Command {
  const example = 'rae encode --model runs/rae --input photos --out latents.safetensors';
  return modelVerb('encode', 'pictures to latents', example, 'weights of the encoder')
    .requiredOption('--input <path>', "a picture, a folder of them, or 'embedded'")
    .requiredOption('--out <file>', 'latents [N, C, h, w] with labels and paths: .safetensors or .npz')
    .option('--raw-latents', 'as the encoder gives them, without the statistics of the latents')
    .addOption(integerOption('--num <n>', 'at most so many pictures, spread evenly over the input', { min: 1 }))
    .action(run);
}

async function run(options: EncodeOptions): Promise<void> {
  checkEnding('--out', options.out);
  beginVerb(options);
  const model = loadModel(options.model, { ...options, need: 'encoder' });
  if (options.rawLatents) model.rae.setStatistics();
  const started = performance.now();
  const result = await encodeAll(model, options);
  const seconds = (performance.now() - started) / 1000;
  log.done();
  const { pictures, shape, normalized, mean, std } = result;
  const text =
    `${options.out}: ${count(pictures)} latents [${shape.join(', ')}], ${normalized ? 'normalised' : 'raw'}, ` +
    `mean ${figure(mean)}, deviation ${figure(std)}; ${bytes(pictures * 4 * shape.reduce((a, b) => a * b, 1))} in ${duration(seconds)}`;
  printResult(options, { out: options.out, ...result, seconds }, text);
}

async function encodeAll(model: LoadedModel, { input, out, num, precision, rawLatents }: EncodeOptions) {
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
