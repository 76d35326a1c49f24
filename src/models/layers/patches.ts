// Pictures as rows of patches and back (MAE; spec 4). Inside a patch the order is (row, column, channel), channel last.
// B batch, p patch side, h x w patches.

import type { Tensor } from '../../tensor/index.ts';
import { ShapeError } from '../../util/errors.ts';

/** [B, C, h*p, w*p] -> [B, h*w, p*p*C], row-major over the grid. ShapeError when a side is no multiple of p. */
export function patchify(images: Tensor, p: number): Tensor {
  const [B, C, H, W] = images.dims(4);
  if (H % p !== 0 || W % p !== 0) {
    throw new ShapeError(
      `patchify: expected sides divisible by the patch size ${p}, received ${H} x ${W}. Resize the images.`,
    );
  }
  const [h, w] = [H / p, W / p];
  return images
    .reshape([B, C, h, p, w, p])
    .permute([0, 2, 4, 3, 5, 1]) // [B, h, w, p, p, C]
    .reshape([B, h * w, p * p * C]);
}

/** [B, h*w, p*p*C] -> [B, C, h*p, w*p]; the grid is square unless `rows` says otherwise. */
export function unpatchify(patches: Tensor, p: number, { rows }: { rows?: number } = {}): Tensor {
  const [B, N, D] = patches.dims(3);
  const h = rows ?? squareSide('unpatchify', N);
  const [w, C] = [N / h, D / (p * p)];
  if (!Number.isInteger(w) || !Number.isInteger(C)) {
    throw new ShapeError(
      `unpatchify: expected [B, ${h} * w, ${p} * ${p} * C], received [${patches.shape.join(', ')}]. Check the patch size.`,
    );
  }
  return patches
    .reshape([B, h, w, p, p, C])
    .permute([0, 5, 1, 3, 2, 4]) // [B, C, h, p, w, p]
    .reshape([B, C, h * p, w * p]);
}

/** Side of a square grid of `tokens`; ShapeError when it is none. */
export function squareSide(where: string, tokens: number): number {
  const side = Math.round(Math.sqrt(tokens));
  if (side * side !== tokens) {
    throw new ShapeError(`${where}: expected a square number of tokens, received ${tokens}. Use square images.`);
  }
  return side;
}
