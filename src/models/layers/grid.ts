// Token grids: how a latent of [C, h, w] is cut into tokens, and whether inputs fit. The published models are square; rectangles are our extension.

import type { Tensor } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError, ShapeError } from '../../util/errors.ts';

/** Height and width of a grid; one number stands for a square. */
export type GridSize = number | readonly [height: number, width: number];

/** [height, width] of a latent grid divided into patches of `patch` x `patch`. ArgumentError when it does not divide. */
export function tokenGrid(where: string, size: GridSize, patch: number): [rows: number, columns: number] {
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  for (const side of [height, width]) {
    if (!Number.isInteger(side) || side < 1) {
      throw new ArgumentError(expected(where, 'an input size of whole numbers from 1', size));
    }
    if (side % patch !== 0) {
      throw new ArgumentError(
        expected(where, `an input size divisible by the patch size ${patch}`, size, 'Choose another patch size.'),
      );
    }
  }
  return [height / patch, width / patch];
}

/** What a stage-2 model can be fed with. */
export interface LatentShape {
  readonly inChannels: number;
  readonly inputSize: readonly [height: number, width: number];
  readonly y_embedder: unknown;
}

/** Refuses latents of another size, and times or labels that are not one per latent, before libtorch meets them. */
export function checkInputs(model: LatentShape, x: Tensor, t: Tensor, y: Tensor | undefined): void {
  const where = `${model.constructor.name}.forward`;
  const [height, width] = model.inputSize;
  const [B, C, h, w] = x.dims(4);
  if (C !== model.inChannels || h !== height || w !== width) {
    throw new ShapeError(
      expected(
        where,
        `latents [B, ${model.inChannels}, ${height}, ${width}]`,
        x.shape,
        'Check the stage-1 model or in_channels and input_size.',
      ),
    );
  }
  if (t.ndim !== 1 || t.size(0) !== B) throw new ShapeError(expected(where, `${B} times, one per latent`, t.shape));
  if (!model.y_embedder) return;
  if (!y) throw new ArgumentError(expected(where, 'labels, for the model is class-conditional', y));
  if (y.ndim !== 1 || y.size(0) !== B) throw new ShapeError(expected(where, `${B} labels, one per latent`, y.shape));
}
