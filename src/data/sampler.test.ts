import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DataError } from '../util/errors.ts';
import { Sampler } from './sampler.ts';

const take = (sampler: Sampler, n: number) => Array.from({ length: n }, () => [...sampler.next().indices]);

it('an epoch shows every picture once, and the next one in another order', () => {
  const sampler = new Sampler({ size: 60, batch: 10, seed: 3 });
  const [first, second] = [take(sampler, 6).flat(), take(sampler, 6).flat()];
  for (const epoch of [first, second]) expect(new Set(epoch).size).toBe(60);
  expect(second).not.toEqual(first);
  expect(sampler.state).toEqual({ epoch: 1, samplesConsumed: 60 });
});

it('what does not fill a batch is left out, or given as a smaller last batch', () => {
  const dropping = new Sampler({ size: 10, batch: 4 });
  take(dropping, 2);
  expect(dropping.next().epoch).toBe(1);
  const whole = new Sampler({ size: 10, batch: 4, dropLast: false, shuffle: false });
  expect(take(whole, 4)).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9],
    [0, 1, 2, 3],
  ]);
});

it('from any state it goes on as if it had never stopped', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer(),
      fc.nat(30),
      fc.boolean(),
      (size, batch, seed, steps, dropLast) => {
        fc.pre(size >= batch);
        const options = { size, batch, seed, dropLast };
        const sampler = new Sampler(options);
        take(sampler, steps);
        const resumed = new Sampler(options, sampler.state);
        expect(take(resumed, 12)).toEqual(take(sampler, 12));
      },
    ),
  );
});

it('ranks share a global batch, and any number of ranks goes on from any state', () => {
  const options = { size: 50, seed: 9 };
  const single = new Sampler({ ...options, batch: 12 });
  const expected = take(single, 7);
  const together = (worldSize: number, state = { epoch: 0, samplesConsumed: 0 }) =>
    Array.from(
      { length: worldSize },
      (_, rank) => new Sampler({ ...options, batch: 12 / worldSize, rank, worldSize }, state),
    );
  const four = together(4);
  const before = Array.from({ length: 3 }, () => four.flatMap((sampler) => [...sampler.next().indices]));
  const three = together(3, four[1]!.state);
  const after = Array.from({ length: 4 }, () => three.flatMap((sampler) => [...sampler.next().indices]));
  expect([...before, ...after]).toEqual(expected);
});

it('refuses a batch larger than the set and a rank that is none', () => {
  expect(() => new Sampler({ size: 10, batch: 4, worldSize: 3 })).toThrow(DataError);
  expect(() => new Sampler({ size: 10, batch: 4, worldSize: 3 })).toThrow(
    /at least 12 pictures, one batch, received 10/,
  );
  expect(() => new Sampler({ size: 0, batch: 1, dropLast: false })).toThrow(DataError);
  expect(() => new Sampler({ size: 10, batch: 0 })).toThrow(/a batch of at least 1/);
  expect(() => new Sampler({ size: 10, batch: 1, rank: 2, worldSize: 2 })).toThrow(/a rank from 0 to 1/);
});
