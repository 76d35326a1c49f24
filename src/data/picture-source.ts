// Encoded pictures as squares: decoded and cropped in the thread pool. Crops that do not depend on chance are kept in
// memory up to a limit, so that small sets are decoded once. EXIF orientation is applied unless told otherwise; the
// reference ignores it.
import { decodeImage } from '../io/image.ts';
import { openPictureSet } from './picture-set.ts';
import { resample, type Step } from './resample.ts';
import { Room } from './room.ts';
import { mirrorInPlace, type PictureSource } from './source.ts';
import type { Transform } from './transforms.ts';

export interface PictureSourceOptions {
  transform: Transform;
  /** Turn pictures as their EXIF orientation says (default); false is what the reference does. */
  exif?: boolean;
  /** Bytes of crops to keep in memory; default 256 MiB, 0 for none. */
  cacheBytes?: number;
}

/** Bytes that pictures on their way from file to crop may take together, roughly. */
const decodingBudget = 512 * 2 ** 20;

/** Opens what `path` names (picture-set.ts): a folder of pictures, tar shards, a zip, parquet, a list. DataError when it has none. */
export async function openSource(path: string, options: PictureSourceOptions): Promise<PictureSource> {
  const { transform, exif = true, cacheBytes = 256 * 2 ** 20 } = options;
  const set = await openPictureSet(path);
  const { side } = transform;
  const bytes = side * side * 3;
  const kept = new Map<number, Uint8Array>();
  const mayKeep = transform.random ? 0 : Math.floor(cacheBytes / bytes);
  const room = new Room(decodingBudget);

  return {
    name: set.name,
    size: set.labels.length,
    side,
    classes: set.classes,
    label: (index) => set.labels[index]!,
    describe: (index) => set.describe(index),
    async read(index, draws, into) {
      const crop = kept.get(index);
      if (crop) {
        into.set(crop);
      } else {
        const release = await room.enter();
        try {
          const picture = await decodeImage(await set.encoded(index), { exif, name: set.describe(index) });
          room.observe(picture.data.length);
          const steps: Step[] = transform.crop(picture.width, picture.height, draws);
          await resample(picture, steps, into);
        } finally {
          release();
        }
        if (kept.size < mayKeep) kept.set(index, into.slice());
      }
      if (transform.flip && draws.chance(0.5)) mirrorInPlace(into, side);
    },
  };
}
