// Random numbers that belong to one picture: keyed by (seed, index), so that picture i is the same whatever is made around it,
// in whatever order, and on whatever machine (libtorch's CPU generator, mt19937).

import { Generator, randn, type Tensor } from '../tensor/index.ts';

/** Standard normal noise of one picture. */
export function keyedNoise(shape: readonly number[], seed: number, index: number): Tensor {
  generator ??= new Generator(0);
  generator.seed(mix(seed, index));
  return randn(shape, { generator });
}

/** Standard normal noise of step `step` of one picture's stochastic sampler. */
export function keyedStepNoise(shape: readonly number[], { seed, index, step }: KeyedStep): Tensor {
  return keyedNoise(shape, mix(mix(seed, 0x57e9), step), index);
}

interface KeyedStep {
  seed: number;
  index: number;
  step: number;
}

/** A whole number from 0 to `below` - 1 that belongs to (seed, index). */
export function keyedNumber(below: number, seed: number, index: number): number {
  return Math.floor((mix(mix(seed, 0x5eed), index) / 2 ** 32) * below);
}

let generator: Generator | undefined;

/**
 * A 32-bit seed (all that mt19937 takes) of a seed and an index: for one seed a bijection of the index, so that no two pictures share
 * their noise (the finaliser of MurmurHash3).
 */
function mix(seed: number, index: number): number {
  let x = (Math.imul(seed, 0x9e3779b9) + index) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
