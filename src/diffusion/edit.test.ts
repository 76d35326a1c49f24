import { describe, expect, test } from 'vitest';
import { Generator, memoryStats, randn, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { blendVelocities, inpaint, invert, mixVelocities, slerp, timesFrom, vary } from './edit.ts';
import { gaussianOracle } from './oracles.ts';
import { heun2 } from './samplers/heun2.ts';
import { rk4 } from './samplers/rk4.ts';
import { gridToZero, referenceGrid } from './time.ts';

const f64 = { dtype: 'f64' } as const;
const oracle = () => gaussianOracle(tensor([0.5, -1, 0.2], f64), tensor([1.5, 0.4, 0.9], f64));
const noises = (seed: number) => randn([4, 3], { ...f64, generator: new Generator(seed) });

describe('slerp', () => {
  test('its ends are the two noises, and it keeps their norm between', () => {
    tidy(() => {
      const [a, b] = [randn([2, 4, 50]), randn([2, 4, 50])];
      expect(distance(slerp(a, b, 0), a)).toBeLessThan(1e-6);
      expect(distance(slerp(a, b, 1), b)).toBeLessThan(1e-6);
      const norm = (x: Tensor) => x.flatten(1, -1).linalgVectorNorm(2, 1).mean().item();
      expect(norm(slerp(a, b, 0.5)) / norm(a)).toBeCloseTo(1, 1);
    });
  });

  test('equal noises stay as they are, and each sample turns by its own angle', () => {
    tidy(() => {
      const [a, b] = [
        tensor([
          [1, 0],
          [0, 2],
        ]),
        tensor([
          [1, 0],
          [2, 0],
        ]),
      ];
      const half = slerp(a, b, 0.5).toNumbers();
      for (const [i, want] of [1, 0, Math.SQRT2, Math.SQRT2].entries()) expect(half[i]).toBeCloseTo(want, 6);
    });
  });

  test('other shapes are refused', () => {
    tidy(() => expect(() => slerp(randn([2, 3]), randn([3, 2]), 0.5)).toThrow(ShapeError));
  });
});

describe('inversion', () => {
  test('sampling from the inverted noise gives the data again', () => {
    tidy(() => {
      const { velocity } = oracle();
      const data = noises(1);
      const times = gridToZero(100, { shift: 2 });
      const noise = invert(velocity, data, { times, sampler: rk4 });
      expect(distance(rk4(velocity, noise, times), data)).toBeLessThan(1e-6);
    });
  });

  test('it finds the noise of the closed form', () => {
    tidy(() => {
      const { velocity, solution } = oracle();
      const noise = noises(2);
      const times = referenceGrid(101);
      expect(distance(invert(velocity, solution(noise, times.at(-1)!), { times }), noise)).toBeLessThan(1e-3);
    });
  });
});

describe('variation', () => {
  test('from 1 it is the sample of the noise, from near 0 the data', () => {
    tidy(() => {
      const { velocity } = oracle();
      const [data, noise, times] = [noises(1), noises(2), gridToZero(50)];
      const fresh = rk4(velocity, noise, times);
      expect(distance(vary(velocity, data, { times, from: 1, noise, sampler: rk4 }), fresh)).toBeLessThan(1e-9);
      expect(distance(vary(velocity, data, { times, from: 0.001, noise, sampler: rk4 }), data)).toBeLessThan(0.01);
    });
  });

  test('a start outside the grid is refused', () => {
    for (const from of [0, 0.005, 1.5]) expect(() => timesFrom([1, 0.5, 0.01], from)).toThrow(ArgumentError);
    expect(timesFrom([1, 0.5, 0.25, 0], 0.5)).toEqual([0.5, 0.25, 0]);
  });
});

describe('inpainting', () => {
  test('what is not masked is the data, what is masked is filled in', () => {
    tidy(() => {
      const { velocity } = oracle();
      const [data, noise] = [noises(1), noises(2)];
      const mask = tensor([1, 0, 1], { dtype: 'bool' });
      const before = memoryStats().tensors;
      const x = inpaint(velocity, data, { times: gridToZero(20), mask, noise });
      expect(memoryStats().tensors).toBe(before + 1);
      expect(distance(x.select(1, 1), data.select(1, 1))).toBe(0);
      const free = rk4(velocity, noise, gridToZero(20));
      expect(distance(x.select(1, 0), free.select(1, 0))).toBeLessThan(1e-2); // this field's coordinates are independent
    });
  });

  test('repeated steps make what is filled in fit what is held', () => {
    tidy(() => {
      // Two coordinates of correlation 0.9: the second, filled in, must have the regression on the first, held at 1.
      const { velocity } = correlatedOracle(0.9);
      const data = tensor(Array.from({ length: 4000 }, () => [1, 0]).flat(), { ...f64, shape: [4000, 2] });
      const generator = new Generator(3);
      const noise = randn([4000, 2], { ...f64, generator });
      const filled = (repeats: number) => {
        const fresh = () => randn([4000, 2], { ...f64, generator });
        const mask = tensor([0, 1], { dtype: 'bool' });
        const x = inpaint(velocity, data, { times: referenceGrid(21), mask, noise, sampler: heun2, repeats, fresh });
        return x.select(1, 1).mean().item();
      };
      const [once, often] = [filled(1), filled(8)];
      expect(Math.abs(often - 0.9)).toBeLessThan(0.08);
      expect(Math.abs(once - 0.9)).toBeGreaterThan(2 * Math.abs(often - 0.9));
    });
  });

  test('a mask of numbers is refused', () => {
    tidy(() => {
      const run = () => inpaint((x) => x, noises(1), { times: [1, 0], mask: tensor([1, 0, 1]), noise: noises(2) });
      expect(run).toThrow("inpaint: expected a mask of dtype 'bool', true where to fill in, received 'f32'.");
    });
  });
});

describe('mixtures', () => {
  test('velocities are averaged by weight', () => {
    tidy(() => {
      const velocity = mixVelocities([(x) => x, (x) => x.mul(3)], [1, 3]);
      expect(velocity(tensor([2]), 0.5).item()).toBe(5);
    });
  });

  test('two velocities are blended sample by sample', () => {
    tidy(() => {
      const velocity = blendVelocities(
        (x) => x,
        (x) => x.mul(3),
        tensor([0, 0.5, 1]),
      );
      expect(velocity(tensor([[1], [1], [1]]), 0.5).toNumbers()).toEqual([1, 2, 3]);
    });
  });

  test.each([[[1]], [[0, 0]], [[1, -1]]])('the weights %j are refused', (weights) => {
    expect(() => mixVelocities([(x) => x, (x) => x], weights)).toThrow(
      'mixVelocities: expected one weight of at least 0 for each of 2 velocities, not all 0',
    );
  });
});

/** Data of two standard normal coordinates with this correlation: the Gaussian oracle along its axes, (1, 1) and (1, -1). */
function correlatedOracle(correlation: number) {
  const axes = gaussianOracle(tensor([0, 0], f64), tensor([1 + correlation, 1 - correlation], f64));
  const turn = tensor([1, 1, 1, -1], { ...f64, shape: [2, 2] }).mul(Math.SQRT1_2);
  return { velocity: (x: Tensor, t: number) => axes.velocity(x.matmul(turn), t).matmul(turn) };
}

function distance(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}
