// Peak signal-to-noise ratio per picture, in dB (spec 13.5).
// Differs from the reference: bytes are divided by 255 because they are bytes; the reference looks at the batch's maximum, and takes a
// nearly black batch that holds only 0 and 1 for pictures in [0, 1].

import { type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ShapeError } from '../util/errors.ts';

/** PSNR of each pair of pictures [B, C, H, W], uint8 or floats in [0, 1]: 20 log10(1 / sqrt(mse)), the error at least 1e-10 (100 dB). */
export function psnr(a: Tensor, b: Tensor): number[] {
  requirePairs('psnr', a, b);
  const errors = tidy(() => unitRange(a).sub(unitRange(b)).square().flatten(1).mean([1]).toNumbers());
  return errors.map((mse) => -10 * Math.log10(Math.max(mse, 1e-10)));
}

/** Pictures in float64: bytes brought to [0, 1], floats as they are. */
export function unitRange(images: Tensor): Tensor {
  const wide = images.to('f64');
  return images.dtype === 'u8' ? wide.div(255) : wide;
}

/** Throws unless both are batches of pictures of one shape. */
export function requirePairs(where: string, a: Tensor, b: Tensor): void {
  if (a.ndim !== 4) throw new ShapeError(expected(where, 'pictures of shape [B, C, H, W]', a.shape));
  if (`${a.shape}` !== `${b.shape}`)
    throw new ShapeError(expected(where, `two batches of one shape, [${a.shape}] as the first`, b.shape));
}
