// rae reconstruct --latent-noise 0,0.1,0.2,0.4: how well the decoder holds up where latents are not quite those of a picture, as samples
// never are (the paper's argument for training it on noisy latents, and its table 5): each strength is added to raw latents, with the same
// noise for the same picture, and the figures of reconstruction-figures.ts are taken. A grid shows the first pictures, a row each strength.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inOrder } from '../data/index.ts';
import { decodeLatents, encodePictures, type Precision, portionOf } from '../inference/batches.ts';
import type { LoadedModel } from '../inference/load-model.ts';
import { withLpipsTensors } from '../inference/lpips-tensors.ts';
import { keyedNoise } from '../inference/noise.ts';
import { openInput } from '../inference/pictures.ts';
import { byteGrid, splitBytes, toBytes, toPixels } from '../inference/pixels.ts';
import { savePng } from '../io/image.ts';
import type { Lpips } from '../losses/lpips.ts';
import { lpipsFromWeights } from '../losses/lpips-weights.ts';
import { noGrad, stack, tidy } from '../tensor/index.ts';
import { type Figures, ReconstructionFigures } from '../train/reconstruction-figures.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { count, duration, figure, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { stopIfInterrupted } from './model-options.ts';

export interface SweepOptions {
  model: string;
  input: string;
  /** A grid, FILE.png. */
  out: string;
  latentNoise: readonly number[];
  num?: number;
  lpips?: string;
  seed?: number;
  precision?: Precision;
}

export interface Sweep {
  out: string;
  pictures: number;
  unreadable: number;
  side: number;
  /** Figures of each strength, in the order that was asked for. */
  figures: ({ noise: number } & Figures)[];
  seconds: number;
}

/** Pictures of the grid. */
const SHOWN = 8;

export async function noiseSweep(model: LoadedModel, options: SweepOptions): Promise<Sweep> {
  const { rae, side, config } = model;
  const { input, out, latentNoise, num, seed = 0, precision } = options;
  if (!out.endsWith('.png')) throw new ConfigError(expected('--out', 'FILE.png for the grid of --latent-noise', out));
  const lpips = lpipsOf(options);
  rae.setStatistics(); // noise is added to raw latents, as in training
  const { exif, synthetic } = config?.data ?? {};
  const { source } = await openInput(input, { side, num, exif, seed: synthetic?.seed });
  const started = performance.now();
  const runs = latentNoise.map((noise) => ({ noise, figures: new ReconstructionFigures(rae, { lpips }) }));
  const rows: Uint8Array[][] = [[], ...latentNoise.map(() => [])];
  const show = (row: number, bytes: Uint8Array) =>
    rows[row]!.push(...splitBytes(bytes, side).slice(0, SHOWN - rows[row]!.length));
  let done = 0;
  for await (const { images, labels, indices } of inOrder(source, { batch: portionOf(rae) })) {
    const n = labels.length;
    show(0, images);
    noGrad(() =>
      tidy(() => {
        const pixels = toPixels(images, [n, side, side]);
        const latents = encodePictures(rae, pixels, { precision });
        const each = Array.from(indices, (index) => keyedNoise(latents.shape.slice(1), seed, index));
        const noise = stack(each, 0); // [n, C, h, w]
        for (const [i, run] of runs.entries()) {
          const made = decodeLatents(rae, latents.add(noise, { alpha: run.noise }), { precision });
          run.figures.add(pixels, made, latents);
          show(i + 1, toBytes(made));
        }
      }),
    );
    done += n;
    log.live(`${count(done)}/${count(source.size)} pictures`);
    stopIfInterrupted(() => `after ${done} of ${source.size} pictures; nothing was written.`);
  }
  log.done();
  if (done === 0) throw new DataError(`--input: none of the ${source.size} pictures of '${input}' can be read.`);
  await savePng(out, byteGrid(rows.flat(), { side, columns: rows[0]!.length }));
  const figures = runs.map((run) => ({ noise: run.noise, ...run.figures.result() }));
  for (const run of runs) run.figures.dispose();
  const seconds = (performance.now() - started) / 1000;
  return { out, pictures: done, unreadable: source.size - done, side, figures, seconds };
}

/** The network given, or that of the run. */
function lpipsOf({ lpips, model }: SweepOptions): Lpips | undefined {
  const own = join(model, 'lpips.safetensors');
  const path = lpips ?? (existsSync(own) ? own : undefined);
  if (path === undefined) return undefined;
  return withLpipsTensors(path, lpipsFromWeights);
}

const COLUMNS: [name: string, title: string][] = [
  ['psnr', 'PSNR dB'],
  ['ssim', 'SSIM'],
  ['lpips', 'LPIPS'],
  ['encoder_frechet', 'Frechet, encoder'],
  ['high_frequency', 'high frequencies'],
  ['patch_peak', 'patch peak dB'],
];

export function sweepText({ figures, out, pictures, seconds }: Sweep): string {
  const known = COLUMNS.filter(([name]) => figures.some((row) => row[name] !== undefined));
  const lines = figures.map((row) => [String(row.noise), ...known.map(([name]) => figure(row[name] ?? Number.NaN, 4))]);
  const heading = ['noise', ...known.map(([, title]) => title)];
  return [table([heading, ...lines]), `${out}: ${count(pictures)} pictures in ${duration(seconds)}`].join('\n');
}
