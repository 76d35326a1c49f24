// Learned position tables at another grid than the one they were trained on.
// Two kernels exist and differ by 1e-3: DINOv2 with registers and timm shrink with antialias (a = -0.5, support scaled);
// plain DINOv2, SigLIP2 and MAE without it (a = -0.75). Always an explicit output size, no scale factor (spec 2, 17.1); but DINO v1 gives a
// factor with 0.1 cells added to the output, and the kernel samples by that factor.

import { call, type Tensor, upsampleBicubic2d } from '../../tensor/index.ts';

export type TableResize = 'bicubic' | 'bicubic-antialias' | 'bicubic-offset';

export type Grid = readonly [rows: number, columns: number];

/** [1, rows*columns, D] for `from` -> [1, rows*columns, D] for `to`, computed in float32. The table itself where the grids are equal. */
export function resizeTable(table: Tensor, from: Grid, to: Grid, resize: TableResize): Tensor {
  if (from[0] === to[0] && from[1] === to[1]) return table;
  const D = table.size(2);
  const plane = table
    .to('f32')
    .reshape([1, ...from, D])
    .permute([0, 3, 1, 2]); // [1, D, rows, columns]
  const resized =
    resize === 'bicubic-offset'
      ? (call('aten::upsample_bicubic2d', [
          plane,
          [...to],
          false,
          (to[0] + 0.1) / from[0],
          (to[1] + 0.1) / from[1],
        ]) as Tensor)
      : upsampleBicubic2d(plane, [...to], { alignCorners: false, antialias: resize === 'bicubic-antialias' });
  return resized
    .permute([0, 2, 3, 1])
    .reshape([1, to[0] * to[1], D])
    .to(table.dtype);
}
