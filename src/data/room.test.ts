import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Room } from './room.ts';

/** Sends `count` visitors through at once; the most that were inside together. */
async function crowd(room: Room, count: number): Promise<number> {
  let [inside, most] = [0, 0];
  const visit = async () => {
    const leave = await room.enter();
    most = Math.max(most, ++inside);
    await setImmediate();
    inside--;
    leave();
  };
  await Promise.all(Array.from({ length: count }, visit));
  return most;
}

test('no more are inside than there is room for, also when places become free', async () => {
  const room = new Room(60 * 2 ** 20);
  room.observe(10 * 2 ** 20);
  expect(await crowd(room, 40)).toBe(6);
  room.observe(50 * 2 ** 20);
  expect(await crowd(room, 40)).toBe(4); // the least
});
