import { expect, test } from 'vitest';
import { Generator, randn, zeros } from '../tensor/index.ts';
import { inceptionScore } from './inception-score.ts';
import { kid } from './kid.ts';
import { precisionRecall } from './precision-recall.ts';

const cloud = (n: number, seed: number) => randn([n, 4], { generator: new Generator(seed) });

test('samples of the same distribution are precise and recall it, distant ones do neither', () => {
  const reference = cloud(600, 1); // more rows than one strip
  const same = precisionRecall(reference, cloud(700, 2));
  expect(same.precision).toBeGreaterThan(0.8);
  expect(same.recall).toBeGreaterThan(0.8);
  const distant = precisionRecall(reference, cloud(700, 2).add(100));
  expect(distant).toEqual({ precision: 0, recall: 0, density: 0, coverage: 0 });
});

test('KID is near 0 for one distribution and grows with the distance', () => {
  const options = { subsets: 10, subsetSize: 100 };
  const [same, apart] = [kid(cloud(300, 1), cloud(300, 2), options), kid(cloud(300, 1), cloud(300, 2).add(1), options)];
  expect(Math.abs(same.mean)).toBeLessThan(0.1);
  expect(apart.mean).toBeGreaterThan(10 * Math.abs(same.mean));
});

test('logits that say nothing have an Inception Score of 1', () => {
  expect(inceptionScore(zeros([20, 10]), { splits: 4 })).toMatchObject({ mean: 1, std: 0 });
});

test('sets too small for their options are refused', () => {
  expect(() => precisionRecall(cloud(3, 1), cloud(9, 2))).toThrow(/k from 1 to 2/);
  expect(() => precisionRecall(cloud(9, 1), zeros([9, 3]))).toThrow(/samples of width 4/);
  expect(() => kid(cloud(1, 1), cloud(9, 2), { subsets: 1 })).toThrow(/at least 2 rows/);
  expect(() => inceptionScore(zeros([3, 10]), { splits: 4 })).toThrow(/splits that 3 samples can fill/);
});
