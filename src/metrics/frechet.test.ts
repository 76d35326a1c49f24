import { expect, test } from 'vitest';
import { eye, Generator, randn, tensor } from '../tensor/index.ts';
import { featureStatistics, frechetDistance, frechetDistanceOfFeatures } from './frechet.ts';

const features = (n: number, d: number, seed: number) =>
  randn([n, d], { generator: new Generator(seed), dtype: 'f64' });

test('a set has distance 0 from itself, also with fewer samples than dimensions', () => {
  for (const n of [10, 200]) {
    const x = features(n, 32, n);
    expect(frechetDistanceOfFeatures(x, x)).toBeLessThan(1e-10);
    expect(frechetDistance(featureStatistics(x), featureStatistics(x))).toBeLessThan(1e-10);
  }
});

test('moments and features give one number where covariances are singular', () => {
  const [x, y] = [features(10, 32, 1), features(14, 32, 2)];
  const ofMoments = frechetDistance(featureStatistics(x), featureStatistics(y));
  expect(Math.abs(ofMoments - frechetDistanceOfFeatures(x, y))).toBeLessThan(1e-9);
  const withFactor = featureStatistics(x, { withFactor: true });
  expect(Math.abs(ofMoments - frechetDistance(withFactor, featureStatistics(y)))).toBeLessThan(1e-9);
});

test('a shift of the mean counts with its square', () => {
  const x = features(50, 8, 3);
  expect(frechetDistanceOfFeatures(x, x.add(0.5))).toBeCloseTo(8 * 0.25, 10);
});

test('moments that are not finite or do not fit are refused', () => {
  const good = { mean: tensor([0, 0]), covariance: eye(2) };
  const infinite = { mean: tensor([0, Number.NaN]), covariance: eye(2) };
  expect(() => frechetDistance(good, infinite)).toThrow(/finite means/);
  expect(() => frechetDistance(good, { mean: tensor([0]), covariance: eye(1) })).toThrow(
    /one width, 2 as in the first/,
  );
  expect(() => frechetDistance(good, { mean: tensor([0]), covariance: eye(2) })).toThrow(
    /covariance of shape \[1, 1\]/,
  );
  expect(() => frechetDistanceOfFeatures(features(1, 4, 4), features(5, 4, 5))).toThrow(/at least 2 samples/);
});
