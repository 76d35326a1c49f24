// The pictures of a batch file: arr_0 (or images), uint8 [N, H, W, 3], read as they are needed; labels from arr_1 where there are any.

import { basename, resolve } from 'node:path';
import { loadNpz } from '../io/npz.ts';
import { npzKeys, openArray } from '../io/npz-stream.ts';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';
import type { ArchiveSpec, PictureSet } from './picture-set.ts';
import { stamp } from './stamp.ts';

const LABELS = 'arr_1';

/** Opens the file. DataError for anything but pictures of bytes. */
export async function openArchive(spec: ArchiveSpec): Promise<PictureSet> {
  const { path } = spec;
  const rows = await openArray(path, ['arr_0', 'images']);
  const { dtype, shape } = rows;
  const [size = 0, height = 0, width = 0, channels] = shape;
  if (dtype !== 'u8' || shape.length !== 4 || channels !== 3 || size === 0) {
    rows.close();
    const next = 'Pictures are bytes from 0 to 255: (255 * x).clip(0, 255).astype("uint8").';
    throw new DataError(
      expected(`${path}: arr_0`, 'uint8 [N, H, W, 3]', `${dtype} [${shape.join(', ')}]`, dtype === 'u8' ? '' : next),
    );
  }
  const labels = readLabels(path, size);
  return {
    spec,
    name: path,
    size,
    height,
    width,
    identity: JSON.stringify([resolve(path), ...stamp(path)]),
    details: { kind: 'npz', path },
    async read(start, count) {
      const indices = Array.from({ length: count }, (_, i) => start + i);
      return {
        indices,
        images: rows.read(start, count),
        ...(labels && { labels: labels.slice(start, start + count) }),
        unreadable: [],
        resized: 0,
      };
    },
    describe: (index) => `${basename(path)}[${index}]`,
    close: () => rows.close(),
  };
}

/** arr_1 where it holds one whole number for each picture, as `rae sample --npz` writes it. */
function readLabels(path: string, size: number): number[] | undefined {
  if (!npzKeys(path).includes(LABELS)) return undefined;
  const array = loadNpz(path, [LABELS]).get(LABELS);
  const whole = array !== undefined && /^[iu]/.test(array.dtype) && array.shape.length === 1;
  return whole && array.shape[0] === size ? Array.from(array.data as Int32Array, Number) : undefined;
}
