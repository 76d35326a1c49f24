import { expect, test } from 'vitest';
import { cat, Generator, randn, type Tensor, tensor } from '../tensor/index.ts';
import { classifyByNeighbours } from './knn.ts';
import { fitLogistic, fitRidge } from './probe.ts';

/** Three clouds in 8 dimensions, and their labels. */
function clouds(n: number, seed: number): { features: Tensor; labels: number[] } {
  const generator = new Generator(seed);
  const parts = [0, 1, 2].map((k) => {
    const center = tensor(Array.from({ length: 8 }, (_, d) => (d === k ? 3 : 0)));
    return randn([n, 8], { generator }).add(center);
  });
  return { features: cat(parts, 0), labels: [0, 1, 2].flatMap((k) => Array<number>(n).fill(k)) };
}

const train = clouds(100, 1);
const held = clouds(100, 2);

test('both probes separate clouds that lie apart', () => {
  const probes = [fitRidge(train.features, train.labels), fitLogistic(train.features, train.labels, { steps: 100 })];
  for (const probe of probes) {
    expect(probe.accuracy(held.features, held.labels)).toBeGreaterThan(0.95);
    probe.dispose();
  }
  const neighbours = classifyByNeighbours(held.features, train, { k: 5 });
  expect(neighbours.filter((label, i) => label === held.labels[i]).length / 300).toBeGreaterThan(0.95);
});

test('the logistic probe reaches the minimum: its gradient vanishes', () => {
  const l2 = 0.1;
  const probe = fitLogistic(train.features, train.labels, { l2, steps: 200 });
  const z = train.features.to('f64').sub(probe.center).div(probe.scale);
  const y = tensor(
    train.labels.flatMap((k) => [0, 1, 2].map((j) => Number(j === k))),
    { shape: [300, 3], dtype: 'f64' },
  );
  const residual = z.matmul(probe.weight).add(probe.bias).softmax(1).sub(y).div(300);
  expect(z.t().matmul(residual).add(probe.weight.mul(l2)).abs().max().item()).toBeLessThan(1e-8);
  expect(residual.sum(0).abs().max().item()).toBeLessThan(1e-8);
});

test('a constant feature does not upset standardisation', () => {
  const features = cat([train.features, train.features.narrow(1, 0, 1).mul(0)], 1);
  const probe = fitRidge(features, train.labels, { standardise: true });
  expect(Number.isFinite(probe.scores(features).sum().item())).toBe(true);
});

test('labels that do not fit are refused', () => {
  expect(() => fitRidge(train.features, [0, 1])).toThrow(/one label for each of 300 rows/);
  expect(() => fitRidge(train.features, train.labels, { classes: 2 })).toThrow(/labels from 0 to 1, received 2/);
  expect(() => classifyByNeighbours(held.features, train, { k: 301 })).toThrow(/k from 1 to the 300 rows/);
});
