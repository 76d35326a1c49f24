import { expect, it } from 'vitest';
import { Draws, permutation } from './random.ts';

const first = (n: number, ...key: number[]) => {
  const draws = new Draws(...key);
  return Array.from({ length: n }, () => draws.next());
};

it('the same key gives the same draws, another key others', () => {
  expect(first(5, 1, 2, 3)).toEqual(first(5, 1, 2, 3));
  const keys = [
    [1, 2, 3],
    [1, 3, 2],
    [1, 2],
    [1, 2, 3, 0],
    [-1, 2, 3],
    [1 + 2 ** 32, 2, 3],
  ];
  expect(new Set(keys.map((key) => first(1, ...key)[0])).size).toBe(keys.length);
});

it('the draws never change: runs of earlier versions resume', () => {
  expect(first(3, 0)).toEqual([0.5666280617006123, 0.18161999573931098, 0.1137307258322835]);
  expect(first(2, 3, 42, 0, 123456789012)).toEqual([0.7393781873397529, 0.2242530493531376]);
});

it('draws are uniform along a key and across neighbouring keys', () => {
  const along = first(20_000, 7);
  const across = Array.from({ length: 20_000 }, (_, i) => first(1, 7, i)[0]!);
  for (const values of [along, across]) {
    const bins = new Array<number>(20).fill(0);
    for (const u of values) bins[Math.floor(u * 20)]!++;
    const chiSquare = bins.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(43.8); // 0.1 % of fair generators exceed it (19 degrees of freedom)
    const lag = values.slice(1).reduce((sum, u, i) => sum + (u - 0.5) * (values[i]! - 0.5), 0) / values.length;
    expect(Math.abs(lag)).toBeLessThan((4 * (1 / 12)) / Math.sqrt(values.length));
  }
});

it('a permutation holds every number once and puts each anywhere', () => {
  expect([...permutation(1000, new Draws(1))].sort((a, b) => a - b)).toEqual([...Array(1000).keys()]);
  const places = new Array<number>(5).fill(0);
  for (let seed = 0; seed < 5000; seed++) places[permutation(5, new Draws(seed)).indexOf(0)]!++;
  for (const n of places) expect(Math.abs(n - 1000)).toBeLessThan(120);
});
