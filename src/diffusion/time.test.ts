import { describe, expect, test } from 'vitest';
import { Generator, tensor, tidy } from '../tensor/index.ts';
import { ArgumentError } from '../util/errors.ts';
import { gvp, linear, vp, vpReference } from './path.ts';
import {
  dimensionShift,
  gridToZero,
  parseTimeDistribution,
  referenceGrid,
  sampleTimes,
  samplingInterval,
  shiftTime,
  timesFromUniform,
  trainingInterval,
} from './time.ts';

describe('shift', () => {
  test('it leaves 0 and 1 where they are', () => {
    for (const shift of [1, 4.9, 6.928203230275509, 13.9]) {
      expect(shiftTime(0, shift)).toBe(0);
      expect(shiftTime(1, shift)).toBe(1);
    }
  });

  test('the published latents have the published shifts', () => {
    expect(dimensionShift(768 * 16 * 16)).toBeCloseTo(6.92820323, 8);
    expect(dimensionShift(768 * 32 * 32)).toBeCloseTo(13.856406461, 8);
    expect(dimensionShift(384 * 16 * 16)).toBeCloseTo(4.898979486, 8);
    expect(dimensionShift(1024 * 16 * 16)).toBe(8);
  });

  test('the middle of the schedule moves to 0.874 at 256 px and 0.933 at 512 px', () => {
    expect(shiftTime(0.5, 6.92820323)).toBeCloseTo(0.873868016, 7);
    expect(shiftTime(0.5, 13.85640646)).toBeCloseTo(0.932688971, 7);
  });

  test('numbers and tensors shift alike, to the bit', () => {
    const times = [0, 1e-4, 0.25, 0.7, 0.999];
    const shifted = tidy(() => shiftTime(tensor(times), 6.928203230275509).toNumbers());
    expect(times.map((t) => shiftTime(t, 6.928203230275509))).toEqual(shifted);
  });

  test('a shift below 1 is refused', () => {
    expect(() => dimensionShift(49 * 64)).toThrow(ArgumentError);
    expect(() => dimensionShift(49 * 64)).toThrow(
      'expected a shift of at least 1, received 0.875. Latents of fewer than 4096',
    );
    expect(() => shiftTime(0.5, 0.5)).toThrow('shiftTime: expected a shift of at least 1, received 0.5.');
  });
});

describe('grids', () => {
  test("the reference's 50 points are 49 steps and stop above 0", () => {
    const grid = referenceGrid(50, { shift: Math.sqrt(48) });
    expect(grid).toHaveLength(50);
    close(grid.slice(0, 4), [1, 0.997005, 0.9939018, 0.9906843]);
    close(grid.slice(-4), [0.3147056, 0.2319788, 0.1315051, 0.0068874]);
    const length = grid.slice(1).reduce((sum, t, i) => sum + Math.abs(t - grid[i]!), 0);
    expect(length).toBeCloseTo(1 - 0.006887294, 6);
  });

  test('the 512 px grid has the published head and tail', () => {
    const grid = referenceGrid(50, { shift: Math.sqrt(192) });
    close(
      [...grid.slice(0, 4), ...grid.slice(-4)],
      [1, 0.9985003, 0.9969416, 0.9953204, 0.4787468, 0.3765955, 0.2324427, 0.0136805],
    );
  });

  test('a grid to zero has as many steps as asked for and ends at 0', () => {
    const grid = gridToZero(50, { shift: Math.sqrt(48) });
    expect(grid).toHaveLength(51);
    expect([grid[0], grid.at(-1)]).toEqual([1, 0]);
  });

  test('no steps are refused', () => {
    expect(() => referenceGrid(1)).toThrow('referenceGrid: expected at least one step (two grid points), received 1.');
    expect(() => gridToZero(0)).toThrow('gridToZero: expected at least one step');
    expect(() => gridToZero(2.5)).toThrow(ArgumentError);
  });
});

describe('training times', () => {
  test.each([
    ['uniform', [0.435, 0.698, 0.874, 0.954, 0.984]],
    ['logit-normal_0_1', [0.658, 0.779, 0.874, 0.932, 0.961]],
  ] as const)('%s has the published quantiles after the 256 px shift', (name, quantiles) => {
    const t = tidy(() =>
      timesFromUniform(tensor([0.1, 0.25, 0.5, 0.75, 0.9]), {
        distribution: parseTimeDistribution(name),
        shift: Math.sqrt(48),
      }).toNumbers(),
    );
    for (const [i, quantile] of quantiles.entries()) expect(t[i]).toBeCloseTo(quantile, 3);
  });

  test('logit-normal times stay inside the interval, at the ends of the uniform draw too', () => {
    const distribution = parseTimeDistribution('logit-normal_0_1');
    const t = tidy(() =>
      timesFromUniform(tensor([0, 1 - 2 ** -24]), { distribution, interval: [0.001, 0.9] }).toNumbers(),
    );
    expect(t[0]).toBe(Math.fround(0.001));
    expect(t[1]).toBeLessThanOrEqual(Math.fround(0.9));
  });

  test('the same generator state gives the same times', () => {
    const draw = () => tidy(() => sampleTimes(5, { generator: new Generator(3), shift: 2 }).toNumbers());
    expect(draw()).toEqual(draw());
  });

  test('only velocity on Linear and GVP begins at 0 and ends at 0.999', () => {
    expect(trainingInterval(linear, 'velocity', 0.1)).toEqual([0, 0.999]);
    expect(trainingInterval(gvp, 'score')).toEqual([1e-3, 0.999]);
    expect(trainingInterval(vp, 'velocity')).toEqual([0, 0.99999]);
    expect(samplingInterval(vp, 'noise')).toEqual([1e-3, 0.999]); // at t = 1 its alpha is 0
    expect(samplingInterval(vpReference, 'noise')).toEqual([0, 0.999]);
  });

  test.each([
    'normal',
    'logit-normal',
    'logit-normal_0',
    'logit-normal_0_0',
    'logit-normal_a_1',
    'logit-normal_0_1_2',
    'logit-normal__1',
  ])("the distribution '%s' is refused", (name) =>
    expect(() => parseTimeDistribution(name)).toThrow("'uniform' or 'logit-normal_mu_sigma'"),
  );
});

function close(got: readonly number[], want: readonly number[]): void {
  expect(got).toHaveLength(want.length);
  for (const [i, value] of want.entries()) expect(got[i]).toBeCloseTo(value, 5);
}
