// rae edit invert, vary and inpaint: edits that begin with photos. In a grid a photo has a row: itself, its reconstruction, what was made.

import type { Command } from 'commander';
import { latentMask, readMask } from '../inference/mask.ts';
import { toPixels } from '../inference/pixels.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import { psnr } from '../metrics/psnr.ts';
import { cat, dispose, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { figure, percent, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import {
  beginEdit,
  decoded,
  type Edit,
  type EditFlags,
  editVerb,
  noises,
  photoLabel,
  readPhotos,
  repeated,
  withClassOption,
  writePictures,
} from './edit-options.ts';
import { integerOption, numberOption, printResult } from './shared.ts';

interface PhotoFlags extends EditFlags {
  input: string;
  num: number;
}

interface InvertFlags extends PhotoFlags {
  saveNoise?: string;
}

interface VaryFlags extends PhotoFlags {
  strength: number;
  variations: number;
}

interface InpaintFlags extends PhotoFlags {
  mask: string;
  variations: number;
  repeats: number;
}

function photoVerb(name: string, description: string, example: string): Command {
  return withClassOption(editVerb(name, description, example))
    .requiredOption('--input <path>', "a photo, a folder of them, or 'embedded'")
    .addOption(
      integerOption('--num <n>', 'at most so many photos, spread evenly over the input', { min: 1, default: 8 }),
    );
}

export function invertCommand(): Command {
  const example = [
    'rae edit invert --model runs/dit --input photo.jpg --class dress --sampler heun2 --out there-and-back.png',
    'rae edit invert --model runs/dit --input photo.jpg --save-noise noise.safetensors --out there-and-back.png',
  ].join('\n');
  return photoVerb('invert', 'photo to noise and back, with the error', example)
    .option('--save-noise <file>', 'the noise [N, C, h, w], for --noise of rae sample')
    .action(invert);
}

async function invert(options: InvertFlags): Promise<void> {
  const edit = beginEdit(options, { unguided: true });
  const { model, editor, how } = edit;
  const label = photoLabel(options, model);
  const photos = await readPhotos(edit, options);
  const velocity = editor.velocity(photos.names.map(() => label));
  const noise = editor.invert(velocity, photos.latents);
  const back = editor.sample(velocity, noise);
  if (options.saveNoise !== undefined) saveSafetensors(options.saveNoise, new Map([['noise', noise]]));
  log.done();

  const error = rowwise(photos.latents, back, (a, b) => distance(a, b) / norm(a));
  const spread = rowwise(noise, noise, (row) => row.std().item());
  const [there, again] = [decoded(edit, photos.latents, options.precision), decoded(edit, back, options.precision)];
  const scores = photos.names.map((picture, i) => ({
    picture,
    error: error[i]!,
    noiseDeviation: spread[i]!,
    psnr: decibels(there[i]!, again[i]!, model.side),
  }));
  dispose([photos.latents, noise, back]);
  const rows = photos.bytes.flatMap((bytes, i) => [bytes, there[i]!, again[i]!]);
  await writePictures(options.out, rows, { side: model.side, columns: 3 });
  const lines = scores.map((s) => [s.picture, percent(s.error), figure(s.noiseDeviation), figure(s.psnr)]);
  const text = table([['picture', 'error', 'deviation of the noise', 'PSNR dB'], ...lines]);
  printResult(
    options,
    { out: options.out, scores },
    `${text}\n${options.out}: ${scores.length} photos to noise and back, ${how}`,
  );
}

export function varyCommand(): Command {
  const example = 'rae edit vary --model runs/dit --input photo.jpg --class dress --strength 0.6 --out variations.png';
  return photoVerb('vary', 'variations of a photo: partly to noise, and forward again', example)
    .addOption(
      numberOption('--strength <s>', 'share of the steps that are run: near 0 the photo, 1 a fresh sample', {
        min: 0,
        max: 1,
        default: 0.6,
      }),
    )
    .addOption(integerOption('--variations <n>', 'of each photo', { min: 1, default: 6 }))
    .action(vary);
}

async function vary(options: VaryFlags): Promise<void> {
  const { strength, variations } = options;
  if (strength === 0) throw new ConfigError(expected('--strength', 'a number above 0 and at most 1', strength));
  const edit = beginEdit(options);
  await photoRows(edit, options, (latents, velocity, noise) =>
    edit.editor.vary(velocity, latents, { strength, noise }),
  ).then((photos) => {
    const result = { out: options.out, photos, variations, strength };
    printResult(
      options,
      result,
      `${options.out}: ${variations} variations of ${photos} photos, strength ${strength}, ${edit.how}`,
    );
  });
}

export function inpaintCommand(): Command {
  const example = 'rae edit inpaint --model runs/dit --input photo.jpg --mask hole.png --class dress --out filled.png';
  return photoVerb('inpaint', 'fill in where a mask is white', example)
    .requiredOption('--mask <picture>', 'of the size of the photos, or of the model: white where to fill in')
    .addOption(integerOption('--variations <n>', 'of each photo', { min: 1, default: 4 }))
    .addOption(
      integerOption('--repeats <n>', 'times that each step is taken, to fit what is held', { min: 1, default: 5 }),
    )
    .action(inpaint);
}

async function inpaint(options: InpaintFlags): Promise<void> {
  const edit = beginEdit(options);
  const { side, rae } = edit.model;
  const white = await readMask(options.mask, { side, input: options.input, exif: edit.model.config.data.exif });
  const mask = latentMask(white, { side, cells: rae.latentSide });
  const cells = tidy(() => mask.to('f32').sum().item());
  if (cells === 0)
    throw new ConfigError(
      `--mask: expected some white in the square that the model sees, received none in '${options.mask}'.`,
    );
  const masked = (bytes: Uint8Array) => bytes.map((byte, i) => (white[Math.floor(i / 3)]! >= 128 ? 128 : byte));
  const photos = await photoRows(
    edit,
    options,
    (latents, velocity, noise) => edit.editor.inpaint(velocity, latents, { mask, noise, repeats: options.repeats }),
    masked,
  );
  mask.dispose();
  const result = { out: options.out, photos, variations: options.variations, cells, of: rae.latentSide ** 2 };
  const text = `${options.out}: ${cells} of ${rae.latentSide ** 2} tokens filled in, ${options.variations} times for ${photos} photos, ${edit.how}`;
  printResult(options, result, text);
}

/** Rows of the photo (as `shown`), its reconstruction, and what `make` makes of its latent repeated; gives the number of photos. */
async function photoRows(
  edit: Edit,
  options: PhotoFlags & { variations: number },
  make: (latents: Tensor, velocity: ReturnType<Edit['editor']['velocity']>, noise: Tensor) => Tensor,
  shown = (bytes: Uint8Array) => bytes,
): Promise<number> {
  const { model, editor } = edit;
  const { variations, precision } = options;
  const label = photoLabel(options, model);
  const photos = await readPhotos(edit, options);
  const velocity = editor.velocity(Array.from({ length: variations }, () => label));
  const noise = noises(edit, options.seed, variations);
  const rows: Uint8Array[] = [];
  for (const [i, bytes] of photos.bytes.entries()) {
    const made = tidy(() => {
      const own = photos.latents.select(0, i);
      return cat([own.unsqueeze(0), make(repeated(own, variations), velocity, noise)], 0);
    });
    rows.push(shown(bytes), ...decoded(edit, made, precision));
    made.dispose();
  }
  dispose([photos.latents, noise]);
  log.done();
  await writePictures(options.out, rows, { side: model.side, columns: variations + 2 });
  return photos.bytes.length;
}

function rowwise(a: Tensor, b: Tensor, fn: (a: Tensor, b: Tensor) => number): number[] {
  return tidy(() => Array.from({ length: a.size(0) }, (_, i) => fn(a.select(0, i), b.select(0, i))));
}

const norm = (x: Tensor) => x.flatten().linalgVectorNorm(2, 0).item();
const distance = (a: Tensor, b: Tensor) => norm(a.sub(b));

function decibels(a: Uint8Array, b: Uint8Array, side: number): number {
  return tidy(() => psnr(toPixels(a, [1, side, side]), toPixels(b, [1, side, side]))[0]!);
}
