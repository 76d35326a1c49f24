import { describe, expect, test } from 'vitest';
import { ArgumentError, ConfigError } from '../util/errors.ts';
import { adamWOptions, lrSchedule, lrScheduleOptions } from './index.ts';

describe('lrSchedule', () => {
  test('warms up from zero by (step + 1) / warmup, or holds the base rate', () => {
    const rising = lrSchedule({ baseLr: 2, warmupSteps: 4, warmupFromZero: true });
    expect([0, 1, 3, 4].map(rising)).toEqual([0.5, 1, 2, 2]);
    const flat = lrSchedule({ baseLr: 2, finalLr: 1, warmupSteps: 4, decayEndSteps: 6 });
    expect([0, 3, 4, 5, 6, 100].map(flat)).toEqual([2, 2, 2, 1.5, 1, 1]);
  });

  test('a cosine is half way down in its middle', () => {
    const rate = lrSchedule({ type: 'cosine', baseLr: 1, finalLr: 0.1, decayEndSteps: 10 });
    expect(rate(5)).toBeCloseTo(0.55, 12);
    expect(rate(10)).toBe(0.1);
  });

  test('constant warms up and then stays, whatever the final rate', () => {
    const rate = lrSchedule({ type: 'constant', baseLr: 1, finalLr: 0, warmupSteps: 2, warmupFromZero: true });
    expect([0, 1, 2, 1e6].map(rate)).toEqual([0.5, 1, 1, 1]);
  });

  test('an unknown type and a negative length are refused', () => {
    expect(() => lrSchedule({ type: 'cosin' as 'cosine', baseLr: 1 })).toThrow(ArgumentError);
    expect(() => lrSchedule({ type: 'cosin' as 'cosine', baseLr: 1 })).toThrow("Did you mean 'cosine'?");
    expect(() => lrSchedule({ baseLr: 1, warmupSteps: -1 })).toThrow('warmupSteps to be a number of at least 0');
  });
});

describe('the training section of a configuration', () => {
  test('without a scheduler the rate is the optimiser s for good', () => {
    const rate = lrSchedule(lrScheduleOptions({ optimizer: { lr: 3e-4 } }, 100));
    expect([rate(0), rate(1e6)]).toEqual([3e-4, 3e-4]);
  });

  test('another optimiser or a lone beta is refused', () => {
    expect(() => adamWOptions({ optimizer: { type: 'sgd' } })).toThrow(ConfigError);
    expect(() => adamWOptions({ optimizer: { betas: [0.9] } })).toThrow(
      'training.optimizer.betas: expected two numbers, received [0.9].',
    );
  });
});

test('holds the base rate from the warm-up to the start of the decay', () => {
  const lr = lrSchedule({
    type: 'linear',
    baseLr: 1,
    finalLr: 0,
    warmupSteps: 2,
    decayStartSteps: 6,
    decayEndSteps: 10,
  });
  expect([2, 5, 6, 8, 10].map(lr)).toEqual([1, 1, 1, 0.5, 0]);
});
