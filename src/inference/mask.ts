// A mask picture for inpainting: white where to fill in. It is cropped as the photos are, and a token of the latent is filled in where any
// of its pixels is white, so that nothing of what is covered stays in it.

import { statSync } from 'node:fs';
import { admSteps, resample } from '../data/index.ts';
import { decodeImage } from '../io/image.ts';
import { type Tensor, tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

/**
 * Brightness 0 to 255 of each pixel [side * side]. The mask has the photos' size (`input`, where that is one file) or the model's; ConfigError
 * for any other, and for a file that is not there.
 */
export async function readMask(
  path: string,
  { side, input, exif }: { side: number; input: string; exif?: boolean | undefined },
): Promise<Uint8Array> {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new ConfigError(expected('--mask', 'an existing picture', path));
  const mask = await decodeImage(path, {});
  const { width, height } = mask;
  if (width !== side || height !== side) {
    const isFile = statSync(input, { throwIfNoEntry: false })?.isFile() === true;
    const photo = isFile ? await decodeImage(input, { ...(exif !== undefined && { exif }) }) : undefined;
    if (photo?.width !== width || photo.height !== height) {
      const sizes = photo ? `${photo.width} x ${photo.height} as the photo or ${side} x ${side}` : `${side} x ${side}`;
      throw new ConfigError(`--mask: expected a picture of ${sizes}, received ${width} x ${height}.`);
    }
  }
  const { data } = await resample(mask, admSteps(width, height, side));
  return Uint8Array.from({ length: side * side }, (_, i) => Math.max(data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!));
}

/** True for each token [cells, cells] that a white pixel (128 or more) touches. */
export function latentMask(white: Uint8Array, { side, cells }: { side: number; cells: number }): Tensor {
  const patch = side / cells;
  const touched = new Uint8Array(cells * cells);
  for (const [i, value] of white.entries()) {
    if (value >= 128) touched[Math.floor(i / side / patch) * cells + Math.floor((i % side) / patch)] = 1;
  }
  return tensor([...touched], { dtype: 'bool', shape: [cells, cells] });
}
