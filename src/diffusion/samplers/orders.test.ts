import { describe, expect, test } from 'vitest';
import { type Tensor, tensor, tidy } from '../../tensor/index.ts';
import { gaussianOracle, logisticOracle, type Oracle } from '../oracles.ts';
import { gridToZero, referenceGrid } from '../time.ts';
import { bashforth, moulton } from './adams.ts';
import { adaptiveSamplers, type SamplerName, sampleOde } from './index.ts';

const f64 = { dtype: 'f64' } as const;
const oracles = {
  gaussian: () => gaussianOracle(tensor([0.5, -1, 0.2], f64), tensor([1.5, 0.4, 0.9], f64)),
  logistic: () => logisticOracle,
};
const starts = {
  gaussian: [1.5, -0.7, 0.3, 0.2, 2.5, -1.9],
  logistic: [0.9, 0.5, 0.03, 0.2, 0.75, 0.37],
};
type OracleName = keyof typeof oracles;

function error(oracleName: OracleName, name: SamplerName, times: readonly number[]): number {
  return tidy(() => {
    const oracle: Oracle = oracles[oracleName]();
    const start = tensor(starts[oracleName], { ...f64, shape: [2, 3] });
    const { x } = sampleOde(name, oracle.velocity, start, { times });
    return distance(x, oracle.solution(start, times.at(-1)!));
  });
}

function order(oracle: OracleName, name: SamplerName, steps: number, shift = 1): number {
  const [coarse, fine] = [steps, 2 * steps].map((n) => error(oracle, name, referenceGrid(n + 1, { shift })));
  return Math.log2(coarse! / fine!);
}

describe('orders on equal steps', () => {
  test.each([
    ['gaussian', 'euler', 40, 1],
    ['gaussian', 'midpoint', 40, 3], // its leading error vanishes for this field
    ['gaussian', 'heun2', 80, 2],
    ['gaussian', 'heun3', 20, 3],
    ['gaussian', 'rk4', 10, 5], // gains an order on this grid
    ['gaussian', 'ab2', 80, 2],
    ['gaussian', 'dpmpp_2m', 20, 2],
    ['logistic', 'euler', 40, 1],
    ['logistic', 'midpoint', 40, 2],
    ['logistic', 'heun2', 40, 2],
    ['logistic', 'heun3', 20, 3],
    ['logistic', 'rk4', 20, 4],
    ['logistic', 'ab2', 80, 2],
    ['logistic', 'dpmpp_2m', 80, 2.5],
  ] as const)('%s: %s at %i steps has order %d', (oracle, name, steps, wanted) => {
    expect(Math.abs(order(oracle, name, steps) - wanted)).toBeLessThan(0.25);
  });

  test('implicit_adams is above order 4 until the float32 grid is felt', () => {
    expect(order('logistic', 'implicit_adams', 10)).toBeGreaterThan(4);
  });

  test('explicit_adams is above order 3 while it is stable, and unstable at 40 steps', () => {
    expect(order('logistic', 'explicit_adams', 10)).toBeGreaterThan(3);
    expect(order('gaussian', 'explicit_adams', 20)).toBeLessThan(0);
  });
});

describe('orders on a shifted grid', () => {
  test.each([
    ['heun2', 2],
    ['heun3', 3],
    ['rk4', 4],
    ['ab2', 2],
  ] as const)('%s keeps order %d', (name, wanted) => {
    expect(Math.abs(order('logistic', name, 80, 6.9) - wanted)).toBeLessThan(0.25);
  });

  test('implicit_adams falls to order 2', () => {
    expect(Math.abs(order('logistic', 'implicit_adams', 80, 6.9) - 2)).toBeLessThan(0.1);
  });

  test.each(['ab2', 'dpmpp_2m', 'heun2'] as const)('%s reaches data on a grid that ends at 0', (name) => {
    expect(error('gaussian', name, gridToZero(160, { shift: 6.9 }))).toBeLessThan(0.02);
  });
});

describe('adaptive methods', () => {
  test.each(adaptiveSamplers)(
    '%s meets its tolerance at every reported time, also with time running to noise',
    (name) => {
      tidy(() => {
        for (const times of [referenceGrid(6, { shift: 3 }), referenceGrid(6, { shift: 3 }).reverse()]) {
          const back = times[0]! < 0.5;
          const noise = tensor(starts.logistic, { ...f64, shape: [2, 3] });
          const start = back ? logisticOracle.solution(noise, times[0]!) : noise;
          const tight = { rtol: 1e-6, atol: 1e-9 };
          let worst = 0;
          const onStep = ({ x, t }: { x: Tensor; t: number }) => {
            worst = Math.max(worst, distance(x, logisticOracle.solution(noise, t)));
          };
          sampleOde(name, logisticOracle.velocity, start, { times, ...tight, onStep });
          expect(worst).toBeLessThan(1e-4); // rtol bounds each step's error; they add up
        }
      });
    },
  );

  test('the last step goes beyond the end of the grid, unless told to stop there', () => {
    tidy(() => {
      const lowest = (overshoot: boolean) => {
        let low = 1;
        const start = tensor(starts.logistic, f64);
        sampleOde(
          'dopri5',
          (x, t) => {
            low = Math.min(low, t);
            return logisticOracle.velocity(x, t);
          },
          start,
          { times: [1, 0], overshoot },
        );
        return low;
      };
      expect(lowest(true)).toBeLessThan(-0.01);
      expect(lowest(false)).toBeGreaterThanOrEqual(0);
    });
  });

  test('velocities that are not finite are named with their time', () => {
    tidy(() => {
      const run = () => sampleOde('dopri5', (x) => x.mul(Number.NaN), tensor([1]), { times: [1, 0.1] });
      expect(run).toThrow('dopri5: expected finite and smooth velocities, received');
    });
  });
});

describe('Adams coefficients', () => {
  test('they are the textbook ones', () => {
    expect(bashforth(4).map((b) => b * 24)).toEqual([55, -59, 37, -9]);
    expect(moulton(4).map((b) => b * 24)).toEqual([9, 19, -5, 1]);
    expect(bashforth(2)).toEqual([1.5, -0.5]);
  });

  test('those of order 11 sum to 1', () => {
    for (const weights of [bashforth(11), moulton(12)]) {
      expect(weights.reduce((sum, weight) => sum + weight)).toBeCloseTo(1, 9);
    }
  });
});

function distance(a: Tensor, b: Tensor): number {
  return tidy(() => a.sub(b).abs().max().item());
}
