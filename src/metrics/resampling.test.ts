import { expect, test } from 'vitest';
import { eye, Generator, randn, tensor, tidy } from '../tensor/index.ts';
import { effectiveRank } from './effective-rank.ts';
import { featureStatistics } from './frechet.ts';
import { NumpyRandom } from './numpy-random.ts';
import { extrapolate, extrapolationSizes, interval } from './resampling.ts';

test("permutations are those of NumPy's RandomState", () => {
  const random = new NumpyRandom(2020);
  expect([...random.permutation(12)]).toEqual([2, 1, 11, 4, 10, 5, 7, 9, 6, 3, 8, 0]);
  expect([...random.permutation(1000).subarray(0, 5)]).toEqual([358, 763, 430, 530, 677]); // choice(1000, 5, replace=False)
});

test.each(['bootstrap', 'subset'] as const)(
  'an interval of a mean by %s is as wide as its standard error says',
  (method) => {
    const n = 400;
    const x = randn([n], { generator: new Generator(1), dtype: 'f64' });
    const mean = x.mean().item();
    const error = x.std(0).item() / Math.sqrt(n);
    const found = interval(mean, n, (rows) => x.indexSelect(0, rows).mean().item(), { method, resamples: 400 });
    expect(found.low).toBeLessThan(mean);
    expect((found.high - found.low) / (2 * 1.96 * error)).toBeGreaterThan(0.85);
    expect((found.high - found.low) / (2 * 1.96 * error)).toBeLessThan(1.15);
  },
);

test('values on a line of 1/N are carried on to no 1/N', () => {
  const points = extrapolationSizes(50000).map((n) => ({ n, value: 3 + 700 / n }));
  expect([points[0]!.n, points.at(-1)!.n, points.length]).toEqual([5000, 50000, 15]);
  expect(extrapolate(points).limit).toBeCloseTo(3, 9);
  expect(extrapolate(points).slope).toBeCloseTo(700, 6);
});

test('the effective rank counts the directions that matter', () => {
  tidy(() => {
    expect(effectiveRank(eye(8))).toBeCloseTo(8, 9);
    const line = randn([50, 1], { generator: new Generator(2) }).matmul(tensor([[1, 2, 3]]));
    expect(effectiveRank(featureStatistics(line).covariance)).toBeCloseTo(1, 4);
  });
});
