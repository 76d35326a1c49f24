// From a configuration's `data` section to pictures: what is trained on, what is held out, and the shuffled batches.

import type { RunConfig } from '../config/index.ts';
import {
  admCrop,
  Loader,
  openSource,
  type PictureSource,
  randomCrop,
  spreadIndices,
  subset,
  syntheticSource,
} from '../data/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

/** Of a folder without held-out pictures, this share is kept back from training for previews and figures (at most 256). */
const HELD_OUT = 0.05;

export interface Pictures {
  train: PictureSource;
  /** Never trained on; centre crops. */
  heldOut: PictureSource;
}

/** Opens the pictures of a configuration. ConfigError without data.path or data.synthetic, DataError when a folder has none. */
export async function openPictures({ data }: RunConfig): Promise<Pictures> {
  const { path, eval_path, synthetic, image_size, crop, flip, exif } = data;
  if (synthetic) {
    const { seed, train_size, eval_size } = synthetic;
    return {
      train: syntheticSource({ seed, part: 'train', size: train_size, side: image_size, flip }),
      heldOut: syntheticSource({ seed, part: 'heldout', size: eval_size, side: image_size }),
    };
  }
  if (path === undefined)
    throw new ConfigError(expected('data', 'a path, or the synthetic set', 'neither', 'Give --data FOLDER.'));
  const transform = crop === 'random' ? randomCrop(image_size, { flip }) : admCrop(image_size, { flip });
  const centred = (folder: string) => openSource(folder, { transform: admCrop(image_size), exif });
  const train = await openSource(path, { transform, exif });
  if (eval_path !== undefined) return { train, heldOut: await centred(eval_path) };
  const { held, rest } = splitIndices(train.size);
  if (rest.length === 0) return { train, heldOut: await centred(path) };
  return { train: subset(train, rest), heldOut: subset(await centred(path), held) };
}

/** Which of `size` pictures are kept back from training, spread over all classes, and which are trained on. */
export function splitIndices(size: number): { held: number[]; rest: number[] } {
  const held = spreadIndices(size, Math.min(256, Math.max(1, Math.floor(size * HELD_OUT))));
  const away = new Set(held);
  return { held, rest: Array.from({ length: size }, (_, i) => i).filter((i) => !away.has(i)) };
}

/**
 * `source` with the labels that `classes` give to its class names: a held-out folder may lack some of the classes, which shifts its own
 * numbers. A single class stands for everything. ConfigError names a class that is not among them.
 */
export function labelledAs(classes: readonly string[], source: PictureSource): PictureSource {
  const labels = labelsAmong(classes, source.classes, 'data.eval_path');
  return { ...source, classes, label: (index) => labels[source.label(index)]! };
}

/** For each of `own` classes its label among `classes`. ConfigError as labelledAs. */
export function labelsAmong(classes: readonly string[], own: readonly string[], where: string): number[] {
  const labels = own.map((name) => (classes.length === 1 ? 0 : classes.indexOf(name)));
  const unknown = own.filter((_, label) => labels[label] === -1);
  if (unknown.length === 0) return labels;
  const what = `sub-folders named as the classes of the training pictures (${classes.slice(0, 10).join(', ')})`;
  throw new ConfigError(expected(where, what, unknown));
}

/** Shuffled batches of the training pictures, prepared ahead. */
export function openLoader({ training }: RunConfig, train: PictureSource): Loader {
  return new Loader(train, { batch: training.global_batch_size, seed: training.global_seed });
}
