// Tensors as text, in the manner of PyTorch: nested brackets, at most six items a dimension, four digits.
import type { Dtype } from './dtype.ts';

interface Displayable {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  toNumbers(): number[];
}

const EDGE = 3; // items shown at each end of a long dimension

/** `tensor([[1, 2], [3, 4]], f32[2, 2])`. Waits for the device. */
export function format(tensor: Displayable): string {
  const { shape, dtype } = tensor;
  const values = tensor.toNumbers();
  const write = numberWriter(values, dtype);
  const body = values.length === 0 ? '[]' : nest(values, shape, 0, 0, write);
  return `tensor(${body}, ${dtype}[${shape.join(', ')}])`;
}

function nest(
  values: number[],
  shape: readonly number[],
  dim: number,
  offset: number,
  write: (v: number) => string,
): string {
  const n = shape[dim];
  if (n === undefined) return write(values[offset] ?? 0);
  const stride = shape.slice(dim + 1).reduce((a, b) => a * b, 1);
  const parts: string[] = [];
  for (let i = 0; i < n; i++) {
    if (n > 2 * EDGE && i === EDGE) {
      parts.push('...');
      i = n - EDGE;
    }
    parts.push(nest(values, shape, dim + 1, offset + i * stride, write));
  }
  const last = dim === shape.length - 1;
  return `[${parts.join(last ? ', ' : `,\n${' '.repeat(8 + dim)}`)}]`;
}

function numberWriter(values: number[], dtype: Dtype): (v: number) => string {
  if (dtype === 'bool') return (v) => (v ? 'true' : 'false');
  if (dtype === 'i64' || dtype === 'i32' || dtype === 'u8') return (v) => String(v);
  let large = 0;
  for (const v of values) if (Number.isFinite(v)) large = Math.max(large, Math.abs(v));
  const scientific = large >= 1e5 || (large > 0 && large < 1e-3);
  return (v) => (Number.isFinite(v) ? (scientific ? v.toExponential(4) : v.toFixed(4)) : String(v));
}
