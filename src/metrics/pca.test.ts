import { expect, test } from 'vitest';
import { randn, tensor } from '../tensor/index.ts';
import { principalComponents } from './pca.ts';

test('components are found by size whatever else varies, and their signs are fixed', () => {
  const along = randn([500, 3]).mul(tensor([10, 3, 0.1]));
  const turn = tensor([
    [0.6, 0.8, 0],
    [-0.8, 0.6, 0],
    [0, 0, 1],
  ]);
  const { projected, shares } = principalComponents(along.matmul(turn).add(5), 2);
  expect(projected.shape).toEqual([500, 2]);
  expect(shares[0]).toBeCloseTo(100 / 109, 1);
  expect(shares[1]).toBeCloseTo(9 / 109, 1);
  const centred = along.sub(along.mean([0])).to('f64');
  // the first direction is (0.6, 0.8, 0), its largest weight positive; the second (-0.8, 0.6, 0) turned round
  const first = projected.select(1, 0).sub(centred.select(1, 0)).abs().max().item();
  const second = projected.select(1, 1).add(centred.select(1, 1)).abs().max().item();
  expect(first).toBeLessThan(1.5);
  expect(second).toBeLessThan(1.5);
});
