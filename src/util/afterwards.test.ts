import { expect, it } from 'vitest';
import { afterwards } from './afterwards.ts';

it('restores after synchronous work, asynchronous work, and failures of both', async () => {
  const done: string[] = [];
  expect(
    afterwards(
      () => 1,
      () => done.push('value'),
    ),
  ).toBe(1);
  expect(() =>
    afterwards(
      () => {
        throw new Error('now');
      },
      () => done.push('throw'),
    ),
  ).toThrow('now');
  const later = afterwards(
    async () => 2,
    () => done.push('promise'),
  );
  expect(done).toEqual(['value', 'throw']);
  expect(await later).toBe(2);
  await expect(
    afterwards(
      () => Promise.reject(new Error('later')),
      () => done.push('reject'),
    ),
  ).rejects.toThrow('later');
  expect(done).toEqual(['value', 'throw', 'promise', 'reject']);
});
