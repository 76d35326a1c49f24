// Stored pictures as a set: a folder, tar, zip, parquet or list, in the order of openInput, brought to one size by ADM's centre crop
// where they are of another.

import { BatchReader, openPictureSet } from '../data/index.ts';
import { openInput } from '../inference/pictures.ts';
import { decodeImage } from '../io/image.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import type { FilesSpec, PictureRange, PictureSet, Unreadable } from './picture-set.ts';
import { stamp } from './stamp.ts';

/** Opens the pictures. DataError when there are none. */
export async function openFiles(spec: FilesSpec): Promise<PictureSet> {
  const { path, side, exif, num } = spec;
  let resized = 0;
  const onSize = (width: number, height: number) => {
    if (width !== side || height !== side) resized++;
  };
  const { source, nameOf } = await openInput(path, { side, exif, num, onSize });
  let before: Promise<unknown> = Promise.resolve(); // one range at a time: it is read concurrently in itself, and counts what it crops
  const crop = `ADM centre crop to ${side} x ${side}`;
  const readRange = async (start: number, count: number): Promise<PictureRange> => {
    const unreadable: Unreadable[] = [];
    resized = 0;
    const reader = new BatchReader(source, { onUnreadable: (picture) => unreadable.push(picture) });
    const batch = await reader.readThese(Array.from({ length: count }, (_, i) => start + i));
    unreadable.sort((a, b) => a.index - b.index);
    return {
      images: batch.images,
      labels: Array.from(batch.labels),
      indices: Array.from(batch.indices),
      unreadable,
      resized,
    };
  };
  return {
    spec,
    name: path,
    size: source.size,
    height: side,
    width: side,
    classes: source.classes.length > 1 ? source.classes : undefined,
    identity: JSON.stringify([
      spec,
      ...Array.from({ length: source.size }, (_, index) => [
        source.describe(index),
        ...stamp(fileOf(source.describe(index))),
      ]),
    ]),
    details: { kind: 'files', path, crop, exif, ...(num !== undefined && { num }) },
    async read(start, count) {
      const range = before.then(() => readRange(start, count));
      before = range.catch(() => {});
      return range;
    },
    describe: nameOf,
    close() {},
  };
}

/** Pictures looked at for their size. */
const LOOK = 16;

/** The side of the first readable picture. ConfigError unless that is square: then a side has to be named. */
export async function sideOfFiles(path: string, { exif }: { exif: boolean }): Promise<number> {
  const set = await openPictureSet(path);
  const some = Math.min(LOOK, set.labels.length);
  for (let index = 0; index < some; index++) {
    try {
      const { width, height } = await decodeImage(await set.encoded(index), { exif });
      if (width === height) return width;
      const next = 'Name the side that pictures are to be cropped to, such as --size 256.';
      throw new ConfigError(expected(path, 'square pictures', `${width} x ${height}: ${set.describe(index)}`, next));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
  }
  throw new DataError(`${path}: expected pictures, none of the first ${some} can be read.`);
}

/** The file that a picture's description begins with: its own, or its archive. */
function fileOf(description: string): string {
  return /^(.*?\.(?:tar|zip|parquet)):/i.exec(description)?.[1] ?? description;
}
