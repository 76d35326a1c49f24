// Rotary positions of DINOv3 (Simeoni et al., 2025): the centres of patches, from -1 to 1 on both axes whatever the grid, times periods
// from 1 to the base; halves of a head are paired, not neighbours (unlike rope.ts). Tokens without a place are not turned.
// B batch, N patch tokens, P prefix tokens, H heads, d head width.

import { arange, cat, full, type Tensor, zeros } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import type { Grid } from './position-table.ts';

export interface Rotation {
  cos: Tensor; // [P + N, d/2]
  sin: Tensor; // [P + N, d/2]
}

/** Angles 2 pi (2 (p + 1/2) / n - 1) base^(-4j/d), j = 0 ... d/4 - 1: the row's, then the column's; none for the `prefix`. In float32. */
export function patchRotation(
  [rows, columns]: Grid,
  { headDim, base, prefix }: { headDim: number; base: number; prefix: number },
): Rotation {
  checkHeadDim(headDim);
  const exponents = arange(0, 1, 4 / headDim, { dtype: 'f32' });
  const frequencies = full([], base, { dtype: 'f32' }).pow(exponents).reciprocal(); // [d/4]
  const axis = (length: number) =>
    arange(0.5, length, 1, { dtype: 'f32' })
      .div(length)
      .mul(2)
      .sub(1)
      .unsqueeze(1)
      .mul(2 * Math.PI)
      .mul(frequencies); // [length, d/4]
  const quarter = headDim / 4;
  const byRow = axis(rows).unsqueeze(1).expand([rows, columns, quarter]);
  const byColumn = axis(columns).unsqueeze(0).expand([rows, columns, quarter]);
  const patches = cat([byRow, byColumn], -1).reshape([rows * columns, headDim / 2]);
  const angles = cat([zeros([prefix, headDim / 2]), patches], 0); // [P + N, d/2]; no angle leaves a token as it is
  return { cos: angles.cos(), sin: angles.sin() };
}

/** ArgumentError for heads that do not split into rows and columns of pairs. */
export function checkHeadDim(headDim: number): void {
  if (Number.isInteger(headDim) && headDim >= 4 && headDim % 4 === 0) return;
  throw new ArgumentError(expected('ViT: rotary positions', 'heads of a width that is a multiple of 4', headDim));
}

/** Turns queries or keys [B, H, P + N, d], computed in float32 as the original does. */
export function rotateHalves(x: Tensor, { cos, sin }: Rotation): Tensor {
  const [a, b] = x.to('f32').chunk(2, -1) as [Tensor, Tensor]; // each [B, H, P + N, d/2]
  return cat([a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))], -1).to(x.dtype);
}
