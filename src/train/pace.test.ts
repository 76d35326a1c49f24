import { expect, test } from 'vitest';
import { newPace } from './pace.ts';

test('the speed is of the steps since the last line, and a pause counts for the time left alone', () => {
  let clock = 0;
  const pace = newPace(8, () => clock);
  clock = 2;
  pace.stepped(); // 8 pictures in 2 s
  clock = 10; // a grid was drawn
  pace.resume();
  clock = 12;
  pace.stepped();
  expect(pace.speed()).toBe(4);
  expect(pace.left(3)).toBe(18); // 6 s a step so far

  pace.newLine();
  pace.resume();
  clock = 13;
  pace.stepped();
  expect(pace.speed()).toBe(8);
});
