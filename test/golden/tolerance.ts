// The manifests' tolerances, and comparison of tensors under them.
// |a - b| <= atol + rtol * |b| elementwise, b the stored value; rel_to_max scales with the largest stored value;
// mean_abs and relative_l2 judge the whole tensor; exact means equal (NaN equals NaN).

import { expect } from 'vitest';
import type { Tensor } from '../../src/tensor/index.ts';

export interface Limits {
  atol?: number;
  rtol?: number;
  rel_to_max?: number;
  relative_l2?: number;
  mean_abs?: number;
  exact?: boolean;
}

/** A manifest's tolerance: limits for everything, or limits per group (`outputs`) or tensor (`outputs/v_bf16`), or the word "exact". */
export type Tolerance = Limits | string | { [name: string]: Limits | string | number | boolean };

/** The limits for one tensor of an entry: of its full name, else of its longest group, else of the whole entry. */
export function limitsFor(tolerance: Tolerance, name: string): Limits {
  if (typeof tolerance === 'string') return { exact: true };
  for (let key = name; key; key = key.slice(0, Math.max(0, key.lastIndexOf('/')))) {
    const limits = (tolerance as Record<string, unknown>)[key];
    if (typeof limits === 'string') return { exact: true };
    if (limits && typeof limits === 'object') return limits as Limits;
  }
  const known = ['atol', 'rtol', 'rel_to_max', 'relative_l2', 'mean_abs', 'exact'];
  if (known.some((key) => key in tolerance)) return tolerance as Limits;
  throw new Error(`limitsFor: no tolerance for '${name}' in ${JSON.stringify(tolerance)}`);
}

/**
 * Compares shape and values in float64. The message says where the largest deviation is, what was expected and received there,
 * and how many elements are outside the limits.
 */
export function expectClose(actual: Tensor | number, expected: Tensor | number, limits: Limits, label: string): void {
  const a = values(actual);
  const b = values(expected);
  if (typeof actual !== 'number' && typeof expected !== 'number') {
    // A 0-d result is stored as one element.
    const scalar = actual.numel === 1 && expected.numel === 1;
    if (!scalar) expect(actual.shape, `${label}: shape`).toEqual(expected.shape);
  }
  expect(a.length, `${label}: number of elements`).toBe(b.length);

  const largest = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const floor = (limits.atol ?? 0) + (limits.rel_to_max ?? 0) * largest;
  const whole = limits.mean_abs !== undefined || limits.relative_l2 !== undefined;
  const elementwise = !whole || limits.atol !== undefined || limits.rtol !== undefined;
  let [worst, worstExcess, outside, sum, square, norm] = [0, -Infinity, 0, 0, 0, 0];
  for (const [i, got] of a.entries()) {
    const want = b[i]!;
    const same = Object.is(got, want) || got === want;
    const deviation = same ? 0 : Math.abs(got - want);
    const excess = deviation - (limits.exact ? 0 : floor + (limits.rtol ?? 0) * Math.abs(want));
    if (!(excess <= 0)) outside++;
    if (excess > worstExcess || Number.isNaN(excess))
      [worst, worstExcess] = [i, Number.isNaN(excess) ? Infinity : excess];
    sum += deviation;
    square += deviation ** 2;
    norm += want ** 2;
  }
  const where =
    `${label}: largest deviation ${Math.abs((a[worst] ?? 0) - (b[worst] ?? 0)).toExponential(3)} at ` +
    `[${unravel(worst, typeof expected === 'number' ? [] : expected.shape)}], expected ${b[worst]}, received ${a[worst]}; ` +
    `${outside} of ${a.length} outside ${JSON.stringify(limits)}`;
  if (elementwise && outside > 0) expect.fail(where);
  const mean = a.length ? sum / a.length : 0;
  if (limits.mean_abs !== undefined && !(mean <= limits.mean_abs)) expect.fail(`${where}; mean deviation ${mean}`);
  const relative = norm > 0 ? Math.sqrt(square / norm) : Math.sqrt(square);
  if (limits.relative_l2 !== undefined && !(relative <= limits.relative_l2))
    expect.fail(`${where}; relative L2 ${relative}`);
}

function values(x: Tensor | number): Float64Array {
  if (typeof x === 'number') return Float64Array.of(x);
  const flat = x.toArray();
  return flat instanceof BigInt64Array ? Float64Array.from(flat, Number) : Float64Array.from(flat);
}

function unravel(index: number, shape: readonly number[]): string {
  const at: number[] = [];
  let rest = index;
  for (const size of [...shape].reverse()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return at.join(', ');
}
