// rae reconstruct: pictures through the encoder and back, with PSNR and SSIM against the cropped input. A grid shows inputs above
// reconstructions; a folder gets one PNG for each picture, under its own name. --latent-noise asks another question: noise-sweep.ts.

import { existsSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { inOrder, isPictureSet } from '../data/index.ts';
import { decodeLatents, encodePictures, portionOf } from '../inference/batches.ts';
import { type LoadedModel, loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { byteGrid, splitBytes, toBytes, toPixels } from '../inference/pixels.ts';
import { decodeImage, savePng } from '../io/image.ts';
import { psnr } from '../metrics/psnr.ts';
import { ssim } from '../metrics/ssim.ts';
import { dispose, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { count, counted, duration, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, type ModelOptions, modelVerb, stopIfInterrupted } from './model-options.ts';
import { noiseSweep, sweepText } from './noise-sweep.ts';
import { integerOption, parseNumber, printResult } from './shared.ts';

interface ReconstructOptions extends ModelOptions {
  input: string;
  out: string;
  num?: number;
  latentNoise?: number[];
  lpips?: string;
  seed?: number;
}

interface Scored {
  picture: string;
  /** dB, on the 8-bit pictures that are written. */
  psnr: number;
  ssim: number;
}

/** Pictures side by side in a grid. */
const COLUMNS = 8;
/** Lines of the table; --json has them all. */
const SHOWN = 40;

export function command(): Command {
  const example = [
    'rae reconstruct --model runs/rae --input photos --num 16 --out reconstructions.png',
    'rae reconstruct --config configs/DINOv2-B.yaml --input cat.png --out recon.png',
  ].join('\n');
  return modelVerb(
    'reconstruct',
    'pictures through the autoencoder, with PSNR and SSIM',
    example,
    'weights of the decoder',
  )
    .requiredOption('--input <path>', "a picture, a folder of them, or 'embedded'")
    .requiredOption('--out <path>', 'FILE.png for a grid (inputs above reconstructions), or a folder for one PNG each')
    .addOption(integerOption('--num <n>', 'at most so many pictures, spread evenly over the input', { min: 1 }))
    .addOption(
      new Option(
        '--latent-noise <list>',
        'decode latents with noise of these strengths instead: 0,0.1,0.2,0.4',
      ).argParser(strengths),
    )
    .option('--lpips <file>', "with --latent-noise: weights of LPIPS (default: the run's own, where it has them)")
    .addOption(integerOption('--seed <n>', 'with --latent-noise: seed of the noise (default 0)', { min: 0 }))
    .addHelpText(
      'after',
      '\nWith --config, one picture and a FILE.png it does as stage1_sample.py: the picture is stretched, not cropped, and its\nreconstruction alone is written. EXIF orientations are not applied with --config.',
    )
    .action(run);
}

async function run(options: ReconstructOptions): Promise<void> {
  checkApart(options);
  beginVerb(options);
  const { latentNoise, lpips, seed } = options;
  const lost = latentNoise
    ? undefined
    : [lpips !== undefined && '--lpips', seed !== undefined && '--seed'].find(Boolean);
  if (lost) throw new ConfigError(expected(String(lost), 'to be used with --latent-noise', 'it alone'));
  const model = loadModel(options.model, { ...options, need: 'rae' });
  if (latentNoise) return runSweep(model, { ...options, latentNoise });
  if (options.config !== undefined && options.out.endsWith('.png') && isPicture(options.input)) {
    await reconstructOne(model, options);
    return;
  }
  const started = performance.now();
  const { scores, unreadable } = await reconstructAll(model, options);
  const seconds = (performance.now() - started) / 1000;
  log.done();
  const mean = { psnr: average(scores, 'psnr'), ssim: average(scores, 'ssim') };
  const result = { out: options.out, pictures: scores.length, unreadable, side: model.side, ...mean, scores, seconds };
  printResult(
    options,
    result,
    asText(scores, mean, `${options.out}: ${counted(scores.length, 'picture')} in ${duration(seconds)}`),
  );
}

async function runSweep(model: LoadedModel, options: ReconstructOptions & { latentNoise: number[] }): Promise<void> {
  const result = await noiseSweep(model, options);
  printResult(options, result, sweepText(result));
}

/** `0,0.1,0.4` as numbers. */
function strengths(text: string): number[] {
  return text.split(',').map((part) => parseNumber('--latent-noise', part, { min: 0 }, false));
}

/** Reconstructions bear the names of their inputs: in the same folder they would take their place. */
function checkApart({ input, out }: ReconstructOptions): void {
  if (!existsSync(input) || !existsSync(out) || realpathSync(input) !== realpathSync(out)) return;
  throw new ConfigError(expected('--out', 'another place than --input, whose pictures would be lost', out));
}

function isPicture(input: string): boolean {
  return !isPictureSet(input) && (statSync(input, { throwIfNoEntry: false })?.isFile() ?? false);
}

/** As the reference's stage1_sample.py: any size and shape, resized by the RAE alone; rounded bytes; no EXIF. */
async function reconstructOne({ rae, side }: LoadedModel, options: ReconstructOptions): Promise<void> {
  const { input, out, precision } = options;
  const { width, height, data } = await decodeImage(input, { exif: false });
  const made = tidy(() => {
    const latents = encodePictures(rae, toPixels(data, [1, height, width]), { precision });
    return toBytes(decodeLatents(rae, latents, { precision }));
  });
  await savePng(out, { width: side, height: side, data: made });
  const result = { out, pictures: 1, input: { width, height }, side };
  printResult(options, result, `${out}: ${side} x ${side} from ${width} x ${height}`);
}

async function reconstructAll(
  { rae, side, config }: LoadedModel,
  { input, out, num, precision, config: asReference }: ReconstructOptions,
) {
  const { synthetic } = config?.data ?? {};
  const exif = asReference === undefined ? config?.data.exif : false; // the reference applies none
  const { source, nameOf } = await openInput(input, { side, num, exif, seed: synthetic?.seed });
  const isGrid = out.endsWith('.png');
  const scores: Scored[] = [];
  const rows: Uint8Array[][] = [];
  for await (const { images, labels, indices } of inOrder(source, { batch: portionOf(rae) })) {
    const n = labels.length;
    const made = tidy(() => {
      const latents = encodePictures(rae, toPixels(images, [n, side, side]), { precision });
      return toBytes(decodeLatents(rae, latents, { precision }));
    });
    const [inputs, outputs] = [splitBytes(images, side), splitBytes(made, side)];
    const figures = compare(images, made, [n, side, side]);
    for (const [i, index] of indices.entries()) {
      scores.push({ picture: nameOf(index), psnr: figures.psnr[i]!, ssim: figures.ssim[i]! });
      if (isGrid) rows.push([inputs[i]!, outputs[i]!]);
    }
    if (!isGrid) {
      const save = (data: Uint8Array, i: number) =>
        savePng(join(out, pngName(nameOf(indices[i]!))), { width: side, height: side, data });
      await Promise.all(outputs.map(save));
    }
    log.live(`${count(scores.length)}/${count(source.size)} pictures`);
    const left = isGrid ? 'nothing was written' : `those in ${out} stay`;
    stopIfInterrupted(() => `after ${scores.length} of ${source.size} pictures; ${left}.`);
  }
  if (scores.length === 0)
    throw new DataError(`--input: none of the ${source.size} pictures of '${input}' can be read.`);
  if (isGrid) await savePng(out, byteGrid(inRows(rows, side), { side, columns: Math.min(COLUMNS, rows.length) }));
  return { scores, unreadable: source.size - scores.length };
}

function compare(a: Uint8Array, b: Uint8Array, size: readonly [number, number, number]) {
  const pair = [toPixels(a, size), toPixels(b, size)] as const;
  const figures = { psnr: psnr(...pair), ssim: ssim(...pair) };
  dispose([...pair]);
  return figures;
}

/** A row of inputs, below it their reconstructions, and so on; the last rows are filled with black. */
function inRows(pairs: readonly Uint8Array[][], side: number): Uint8Array[] {
  const columns = Math.min(COLUMNS, pairs.length);
  const black = new Uint8Array(side * side * 3);
  const blocks = Array.from({ length: Math.ceil(pairs.length / columns) }, (_, k) =>
    Array.from({ length: columns }, (_, i) => pairs[k * columns + i] ?? [black, black]),
  );
  return blocks.flatMap((block) => [...block.map((pair) => pair[0]!), ...block.map((pair) => pair[1]!)]);
}

/** `cats/a.jpg` -> `cats/a.jpg.png`: two pictures that differ in their endings alone stay apart. */
function pngName(name: string): string {
  return name.endsWith('.png') ? name : `${name}.png`;
}

function average(scores: readonly Scored[], figure: 'psnr' | 'ssim'): number {
  return scores.reduce((sum, score) => sum + score[figure], 0) / scores.length;
}

function asText(scores: readonly Scored[], mean: { psnr: number; ssim: number }, last: string): string {
  const line = (name: string, { psnr, ssim }: { psnr: number; ssim: number }) => [
    name,
    psnr.toFixed(2),
    ssim.toFixed(4),
  ];
  const shown = scores.slice(0, SHOWN).map((score) => line(score.picture, score));
  const rest = scores.length - shown.length;
  const more = rest > 0 ? [[`(${rest} more)`]] : [];
  return [table([['picture', 'PSNR dB', 'SSIM'], ...shown, ...more, line('mean', mean)]), last].join('\n');
}
