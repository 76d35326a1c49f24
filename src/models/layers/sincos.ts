// Fixed 2-D sine-cosine position tables (MAE, DiT; spec 4 and 8.1). The column fills the first half of a vector and the row the
// second, the opposite of the rotary tables of rope.ts.

import { type Tensor, tensor } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';

/**
 * Table [rows * columns, width], row-major over the grid: vec(row, column) = [S(column) | S(row)], S(p) = [sin(p w) | cos(p w)],
 * w_i = 10000^(-i / (width / 4)). Computed in float64, stored in float32. `width` must be a multiple of 4. Positions count by
 * `spacing`.
 */
export function sincosTable(width: number, rows: number, columns: number, { spacing = 1 } = {}): Tensor {
  if (!Number.isInteger(width) || width < 4 || width % 4 !== 0) {
    throw new ArgumentError(expected('sincosTable', 'a width that is a multiple of 4', width));
  }
  const quarter = width / 4;
  const table = new Float32Array(rows * columns * width);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at += width) {
      for (let i = 0; i < quarter; i++) {
        const omega = 10000 ** (-i / quarter);
        table[at + i] = Math.sin(column * spacing * omega);
        table[at + quarter + i] = Math.cos(column * spacing * omega);
        table[at + 2 * quarter + i] = Math.sin(row * spacing * omega);
        table[at + 3 * quarter + i] = Math.cos(row * spacing * omega);
      }
    }
  }
  return tensor(table, { shape: [rows * columns, width] });
}
