// The pictures that a verb is given: one file, a folder or archive, or `embedded` (held-out pictures of the drawn set), centre-cropped to squares.

import { statSync } from 'node:fs';
import { basename, dirname, relative, resolve } from 'node:path';
import {
  admCrop,
  admSteps,
  isPictureSet,
  memorySource,
  openSource,
  type PictureSource,
  resample,
  spreadIndices,
  subset,
  syntheticSource,
  type Transform,
} from '../data/index.ts';
import { decodeImage } from '../io/image.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

export interface InputPictures {
  source: PictureSource;
  /** A short name for picture `index`: its path below the input. */
  nameOf(index: number): string;
}

export interface InputOptions {
  /** Side in pixels of the squares (ADM centre crop). */
  side: number;
  /** Turn pictures as their EXIF orientation says (default). */
  exif?: boolean | undefined;
  /** At most so many, spread evenly over the input. */
  num?: number | undefined;
  /** Seed of the embedded set. */
  seed?: number | undefined;
  /** Called with the size of each picture of a set before it is cropped. */
  onSize?: ((width: number, height: number) => void) | undefined;
}

/** Opens the input. ConfigError when there is none; unreadable pictures of a folder are found when they are read. */
export async function openInput(input: string, options: InputOptions): Promise<InputPictures> {
  const { num } = options;
  const all = await openAll(input, options);
  if (num === undefined || num >= all.source.size) return all;
  const kept = spreadIndices(all.source.size, num);
  return { source: subset(all.source, kept), nameOf: (index) => all.nameOf(kept[index]!) };
}

/** How many pictures of the embedded set `embedded` gives when no number is asked for. */
const EMBEDDED_PICTURES = 16;

async function openAll(
  input: string,
  { side, exif = true, seed = 0, num, onSize }: InputOptions,
): Promise<InputPictures> {
  if (input === 'embedded') {
    const source = syntheticSource({ seed, part: 'heldout', size: num ?? EMBEDDED_PICTURES, side });
    return { source, nameOf: (index) => `embedded-${String(index).padStart(4, '0')}` };
  }
  const isSet = isPictureSet(input);
  const found = statSync(input, { throwIfNoEntry: false });
  if (found === undefined && !isSet) {
    throw new ConfigError(expected('--input', 'an existing picture, folder or archive', input));
  }
  if (found?.isFile() && !isSet) {
    return { source: await fileSource(input, { side, exif }), nameOf: () => basename(input) };
  }
  const source = await openSource(input, { transform: watched(admCrop(side), onSize), exif, cacheBytes: 0 });
  const root = isSet ? dirname(resolve(input)) : resolve(input);
  return {
    source,
    nameOf: (index) => relative(root, source.describe(index)).replace(/(\.(?:tar|zip|parquet)):/i, '$1/'),
  };
}

function watched(transform: Transform, onSize: InputOptions['onSize']): Transform {
  if (onSize === undefined) return transform;
  return {
    ...transform,
    crop(width, height, draws) {
      onSize(width, height);
      return transform.crop(width, height, draws);
    },
  };
}

/** One file, decoded and cropped at once: a picture that cannot be read is an error, not a gap. */
async function fileSource(path: string, { side, exif }: { side: number; exif: boolean }): Promise<PictureSource> {
  const picture = await decodeImage(path, { exif });
  const { data } = await resample(picture, admSteps(picture.width, picture.height, side));
  return memorySource({ name: path, images: data, labels: [0], side, classes: [basename(path)] });
}
