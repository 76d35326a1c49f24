import { expect, test } from 'vitest';
import { tensor } from '../../src/tensor/index.ts';
import { hashBytes, hashTensor } from './hash.ts';
import { expectClose, limitsFor } from './tolerance.ts';

const stored = tensor([1, -2, 4], { dtype: 'f32' });
const shifted = (by: number) => tensor([1, -2 + by, 4], { dtype: 'f32' });

test('a deviation outside atol + rtol fails and names its place and size', () => {
  expect(() => expectClose(shifted(0.01), stored, { atol: 1e-3, rtol: 1e-3 }, 'x')).toThrow(
    /x: largest deviation 1\.000e-2 at \[1\], expected -2, received -1\.99.*; 1 of 3 outside/,
  );
  expectClose(shifted(0.0029), stored, { atol: 1e-3, rtol: 1e-3 }, 'x');
});

test('rel_to_max scales with the largest stored value', () => {
  expectClose(shifted(0.39), stored, { rel_to_max: 0.1 }, 'x');
  expect(() => expectClose(shifted(0.41), stored, { rel_to_max: 0.1 }, 'x')).toThrow(/outside/);
});

test('NaN is close to nothing but NaN', () => {
  const nan = tensor([1, Number.NaN, 4], { dtype: 'f32' });
  expect(() => expectClose(nan, stored, { atol: 1e9 }, 'x')).toThrow(/1 of 3 outside/);
  expectClose(nan, nan, { exact: true }, 'x');
});

test('another shape fails even when the numbers agree', () => {
  expect(() => expectClose(stored.unsqueeze(0), stored, { atol: 1 }, 'x')).toThrow(/shape/);
});

test('limits come from the tensor, else its group, else the whole entry', () => {
  const tolerance = { outputs: { atol: 1 }, 'outputs/v': { atol: 2 }, grads: { rel_to_max: 3 } };
  expect(limitsFor(tolerance, 'outputs/v')).toEqual({ atol: 2 });
  expect(limitsFor(tolerance, 'outputs/w/x')).toEqual({ atol: 1 });
  expect(limitsFor({ atol: 4 }, 'anything')).toEqual({ atol: 4 });
  expect(limitsFor('exact', 'anything')).toEqual({ exact: true });
  expect(() => limitsFor(tolerance, 'other')).toThrow(/no tolerance/);
});

test('hash weights equal the worked examples of the fixtures', () => {
  expect(hashTensor('Conv2d_1a_3x3.conv.weight', [864], { scale: 0.45 }).toArray()[863]).toBe(-0.30264878273010254);
  expect(hashTensor('größe', [6]).toArray()[5]).toBe(Math.fround(-0.855245053768158));
  expect([...hashBytes('0/adm-synth/0', 6)]).toEqual([29, 193, 95, 253, 129, 129]);
});
