import { expect, test } from 'vitest';
import { lossByTime } from './time-curve.ts';

test('losses are summed and counted by tenths of the time, 1 with the last', () => {
  expect(lossByTime([1, 0.05, 0.95, 0.3], [1, 2, 3, 4])).toEqual({
    'loss_t/0.0-0.1': [2, 1],
    'loss_t/0.3-0.4': [4, 1],
    'loss_t/0.9-1.0': [4, 2],
  });
});
