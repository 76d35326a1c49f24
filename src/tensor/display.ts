// Tensors as text, in the manner of PyTorch: nested brackets, at most six items a dimension, four digits. Only what is shown
// is read, so that printing a large tensor is cheap.
import type { Dtype } from './dtype.ts';
import { tidy } from './scope.ts';
import type { Tensor } from './tensor.ts';

const EDGE = 3; // items shown at each end of a long dimension
const GAP = '...';

type Shown = number | typeof GAP | readonly Shown[];

/** `tensor([[1, 2], [3, 4]], f32[2, 2])`. Waits for the device. */
export function format(tensor: Tensor): string {
  const { shape, dtype } = tensor;
  const shown = tensor.numel === 0 ? [] : tidy(() => read(tensor.detach()));
  return `tensor(${nest(shown, 0, numberWriter(shown, dtype))}, ${dtype}[${shape.join(', ')}])`;
}

function read(t: Tensor): Shown {
  const [n, ...inner] = t.shape;
  if (n === undefined) return t.toNumbers()[0] ?? 0;
  const long = n > 2 * EDGE;
  if (inner.length === 0) {
    return long ? [...t.slice(0, 0, EDGE).toNumbers(), GAP, ...t.slice(0, n - EDGE).toNumbers()] : t.toNumbers();
  }
  const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => read(t.select(0, from + i)));
  return long ? [...rows(0, EDGE), GAP, ...rows(n - EDGE, n)] : rows(0, n);
}

function nest(shown: Shown, depth: number, write: (v: number) => string): string {
  if (typeof shown === 'string') return shown;
  if (typeof shown === 'number') return write(shown);
  const last = !shown.some((item) => typeof item === 'object');
  return `[${shown.map((item) => nest(item, depth + 1, write)).join(last ? ', ' : `,\n${' '.repeat(8 + depth)}`)}]`;
}

function numberWriter(shown: Shown, dtype: Dtype): (v: number) => string {
  if (dtype === 'bool') return (v) => (v ? 'true' : 'false');
  if (dtype === 'i64' || dtype === 'i32' || dtype === 'u8') return (v) => String(v);
  const large = largest(shown);
  const scientific = large >= 1e5 || (large > 0 && large < 1e-3);
  return (v) => (Number.isFinite(v) ? (scientific ? v.toExponential(4) : v.toFixed(4)) : String(v));
}

function largest(shown: Shown): number {
  if (typeof shown === 'number') return Number.isFinite(shown) ? Math.abs(shown) : 0;
  return typeof shown === 'string' ? 0 : shown.reduce<number>((most, item) => Math.max(most, largest(item)), 0);
}
