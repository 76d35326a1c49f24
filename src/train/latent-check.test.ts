import { expect, test } from 'vitest';
import { full, Generator, randn, type Tensor, tidy } from '../tensor/index.ts';
import { log } from '../util/log.ts';
import { checkLatents, latentComplaints, latentFigures } from './latent-check.ts';
import type { LatentSet } from './latents.ts';

const SHAPE = [64, 16, 3, 3];
const noise = randn(SHAPE, { generator: new Generator(0) });

function setOf(make: () => Tensor): LatentSet {
  const labels = new Int32Array(64);
  return { size: 64, label: () => 0, read: async () => ({ labels, latents: () => tidy(make) }) };
}

test('normalised latents of full rank pass', async () => {
  const figures = await latentFigures(setOf(() => noise.clone()));
  expect(figures.variance).toBeCloseTo(1, 1);
  expect(figures.offset).toBeLessThan(0.1);
  expect(figures.effectiveRank).toBeGreaterThan(15);
  expect(latentComplaints(figures)).toEqual([]);
});

test.each([
  ['shifted latents', () => noise.add(0.5), /means near 0, received 0\.49/],
  ['latents of another scale', () => noise.mul(2), /variances near 1, received 4/],
  [
    'latents along one direction',
    () => noise.mean([1], { keepdim: true }).mul(4).expand(SHAPE),
    /effective rank .* received 1/,
  ],
] as const)('%s are complained about', async (_, make, message) => {
  expect(latentComplaints(await latentFigures(setOf(make))).join('\n')).toMatch(message);
});

test('latents that are not finite are refused', async () => {
  log.quiet = true;
  await expect(
    checkLatents(
      setOf(() => full(SHAPE, Number.NaN)),
      log,
    ),
  ).rejects.toThrow(/finite numbers/);
});
