import { expect, test } from 'vitest';
import { Generator, memoryStats, randn, type Tensor, tidy } from '../tensor/index.ts';
import { FeatureMoments } from './feature-moments.ts';
import { featureStatistics } from './frechet.ts';
import { LatentStatistics, MomentumStatistics } from './statistics.ts';

const draw = (shape: number[]) =>
  randn(shape, { generator: new Generator(1) })
    .mul(3)
    .add(100);

function bytes(t: Tensor): Buffer {
  return Buffer.from(t.toBytes());
}

test('latent statistics do not depend on the batch size, to the last bit', () => {
  const latents = draw([50, 3, 2, 2]);
  const results = [1, 7, 16, 50].map((size) => {
    const statistics = new LatentStatistics({ blockSize: 8 });
    for (const batch of latents.split(size)) statistics.add(batch);
    return statistics.result();
  });
  for (const { mean, variance } of results) {
    expect(bytes(mean).equals(bytes(results[0]!.mean))).toBe(true);
    expect(bytes(variance).equals(bytes(results[0]!.variance))).toBe(true);
  }
});

test('feature moments do not depend on the batch size, to the last bit', () => {
  const features = draw([1100, 5]); // two whole blocks and a part
  const results = [1, 300, 1100].map((size) => {
    const moments = new FeatureMoments();
    for (const batch of features.split(size)) moments.add(batch);
    return moments.result();
  });
  for (const { mean, covariance } of results) {
    expect(bytes(mean).equals(bytes(results[0]!.mean))).toBe(true);
    expect(bytes(covariance).equals(bytes(results[0]!.covariance))).toBe(true);
  }
  const exact = featureStatistics(features);
  expect(results[0]!.covariance.sub(exact.covariance).abs().max().item()).toBeLessThan(1e-11);
});

test('statistics of two halves merge to those of the whole', () => {
  const latents = draw([40, 6]);
  const [whole, first, second] = [new LatentStatistics(), new LatentStatistics(), new LatentStatistics()];
  whole.add(latents);
  first.add(latents.narrow(0, 0, 17));
  second.add(latents.narrow(0, 17, 23));
  first.merge(second);
  expect(first.count).toBe(40);
  expect(first.result().variance.sub(whole.result().variance).abs().max().item()).toBeLessThan(1e-12);
});

test('statistics added inside scopes survive them and keep nothing else', () => {
  const latents = draw([4, 3, 2, 2]);
  const [exact, momentum, features] = [
    new LatentStatistics({ blockSize: 4 }),
    new MomentumStatistics(),
    new FeatureMoments(),
  ];
  const add = () =>
    tidy(() => {
      for (const statistics of [exact, momentum]) statistics.add(latents);
      for (let i = 0; i < 128; i++) features.add(latents.flatten(1)); // one block of 512
    });
  add();
  const before = memoryStats().tensors;
  add();
  expect(memoryStats().tensors).toBe(before);
  for (const statistics of [exact, momentum, features]) statistics.dispose();
  expect(memoryStats().tensors).toBe(before - 6);
});

test('batches of another shape are refused', () => {
  const statistics = new LatentStatistics();
  statistics.add(draw([2, 3, 4, 4]));
  expect(() => statistics.add(draw([2, 3, 5, 5]))).toThrow(/expected latents of shape \[B, 3, 4, 4\]/);
  const momentum = new MomentumStatistics();
  momentum.add(draw([2, 3, 4, 4]));
  expect(() => momentum.add(draw([2, 3, 5, 5]))).toThrow(/expected statistics of shape/);
  expect(() => momentum.add(draw([2, 3, 4, 4, 5, 6]))).toThrow(/rank 2 to 5/);
  const moments = new FeatureMoments();
  moments.add(draw([2, 3]));
  expect(() => moments.add(draw([2, 4]))).toThrow(/width 3/);
});

test('a result without samples is refused', () => {
  expect(() => new LatentStatistics().result()).toThrow(/at least one sample/);
  expect(() => new MomentumStatistics().result()).toThrow(/at least one batch/);
  expect(() => new FeatureMoments().result()).toThrow(/at least 2 samples/);
});
