import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { encodePng } from '../io/image.ts';
import { DataError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import type { Batch, Unreadable } from './batch.ts';
import { inOrder, Loader } from './loader.ts';
import { openSource } from './picture-source.ts';
import { memorySource, type PictureSource } from './source.ts';
import { syntheticImage } from './synthetic.ts';
import { syntheticSource } from './synthetic-source.ts';
import { admCrop, randomCrop } from './transforms.ts';

/** 30 pictures of 40 x 40 in three classes; numbers 4 and 5 and the last one are damaged. */
const folder = mkdtempSync(join(tmpdir(), 'rae-loader-'));
const damaged = [4, 5, 29];

beforeAll(async () => {
  for (let i = 0; i < 30; i++) {
    const png = await encodePng({ width: 40, height: 40, data: syntheticImage({ seed: 1, index: i, size: 40 }) });
    const parent = join(folder, `class${Math.floor(i / 10)}`);
    mkdirSync(parent, { recursive: true });
    const bytes = damaged.includes(i) ? png.subarray(0, png.length / 2) : png;
    writeFileSync(join(parent, `${i % 10}.png`), bytes);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const quiet = { onUnreadable: () => {} };

const sources: Record<string, () => PictureSource | Promise<PictureSource>> = {
  'a folder, cropped at random': () => openSource(folder, { transform: randomCrop(16) }),
  'a folder, mirrored': () => openSource(folder, { transform: admCrop(16, { flip: true }) }),
  'a folder without memory': () => openSource(folder, { transform: admCrop(16, { flip: true }), cacheBytes: 0 }),
  'the embedded set': () => syntheticSource({ size: 30, side: 16, flip: true }),
};

/** One line a batch: comparing a hundred thousand bytes with toEqual takes seconds. */
function digests(batches: Batch[]): string[] {
  return batches.map(({ images, labels, indices }) => {
    const hash = createHash('sha256').update(images).digest('hex');
    return `${[...indices].join(' ')} | ${[...labels].join(' ')} | ${hash}`;
  });
}

async function take(loader: Loader, count: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let i = 0; i < count; i++) batches.push(await loader.next());
  return batches;
}

it.each(Object.entries(sources))(
  '%s: a run resumed anywhere sees the same bytes, whatever was prepared ahead',
  async (_, open) => {
    const whole = await take(new Loader(await open(), { batch: 7, seed: 11, ahead: 5, ...quiet }), 10);
    for (const stop of [0, 3, 4, 7]) {
      const first = new Loader(await open(), { batch: 7, seed: 11, ahead: 1, ...quiet });
      const before = await take(first, stop);
      const resumed = new Loader(await open(), { batch: 7, seed: 11, ahead: 3, ...quiet });
      await resumed.next(); // what was prepared before restore() is dropped
      resumed.restore(JSON.parse(JSON.stringify(first.state())));
      expect(digests([...before, ...(await take(resumed, 10 - stop))])).toEqual(digests(whole));
    }
  },
);

it('crops kept in memory equal crops read again', async () => {
  const read = async (cacheBytes: number) => {
    const source = await openSource(folder, { transform: admCrop(16, { flip: true }), cacheBytes });
    return digests(await take(new Loader(source, { batch: 10, seed: 2, ...quiet }), 9));
  };
  const uncached = await read(0);
  expect(await read(2 ** 20)).toEqual(uncached);
  expect(await read(10 * 768)).toEqual(uncached);
});

it('crops and mirror images differ from epoch to epoch', async () => {
  for (const transform of [randomCrop(16), admCrop(16, { flip: true })]) {
    const source = await openSource(folder, { transform });
    const loader = new Loader(source, { batch: 30, shuffle: false, ...quiet });
    const [first, second] = await take(loader, 2);
    expect(second!.indices).toEqual(first!.indices);
    expect(second!.images).not.toEqual(first!.images);
  }
});

it('a damaged picture is named once, counted, and the next readable one takes its place', async () => {
  const reports: Unreadable[] = [];
  const source = await openSource(folder, { transform: admCrop(16) });
  const loader = new Loader(source, { batch: 30, shuffle: false, onUnreadable: (picture) => reports.push(picture) });
  const [batch] = await take(loader, 2);
  expect(reports.map(({ index }) => index).sort((a, b) => a - b)).toEqual(damaged);
  for (const { index, message } of reports) expect(message).toContain(source.describe(index));
  expect(loader.unreadable).toBe(3);
  const indices = [...batch!.indices];
  expect([indices[3], indices[4], indices[5], indices[29]]).toEqual([3, 6, 6, 0]);
  expect(batch!.labels[29]).toBe(0);
  expect(batch!.images.slice(4 * 768, 5 * 768)).toEqual(batch!.images.slice(6 * 768, 7 * 768));
});

it('without a listener damaged pictures are warned about', async () => {
  const warn = vi.spyOn(log, 'warn').mockImplementation(() => {});
  await take(new Loader(await openSource(folder, { transform: admCrop(16) }), { batch: 30 }), 3);
  expect(warn).toHaveBeenCalledTimes(3);
  warn.mockRestore();
});

it('in order, every readable picture comes once, damaged ones are left out', async () => {
  const source = await openSource(folder, { transform: admCrop(16) });
  const batches: Batch[] = [];
  for await (const batch of inOrder(source, { batch: 8, ...quiet })) batches.push(batch);
  expect(batches.flatMap(({ indices }) => [...indices])).toEqual(
    [...Array(30).keys()].filter((i) => !damaged.includes(i)),
  );
  expect(batches.map(({ labels }) => labels.length)).toEqual([6, 8, 8, 5]);
  const [first] = batches;
  const again = new Uint8Array(768);
  await source.read(6, undefined as never, again);
  expect(first!.images.slice(4 * 768, 5 * 768)).toEqual(again);
});

it('says so when nothing can be read, and when a batch is larger than the set', async () => {
  const broken: PictureSource = {
    ...memorySource({
      name: 'broken',
      images: new Uint8Array(4 * 768),
      labels: [0, 0, 0, 0],
      side: 16,
      classes: ['a'],
    }),
    read: async (index) => {
      throw new DataError(`picture ${index}: unreadable`);
    },
  };
  const loader = new Loader(broken, { batch: 2, ...quiet });
  await expect(loader.next()).rejects.toThrow(/broken: none of its 4 pictures can be read/);
  expect(() => new Loader(broken, { batch: 5 })).toThrow(/at least 5 pictures, one batch, received 4/);
});

it('an error that is not the picture’s fault stops the run', async () => {
  const source = { ...syntheticSource({ size: 4 }), read: () => Promise.reject(new Error('EMFILE')) };
  await expect(new Loader(source, { batch: 2 }).next()).rejects.toThrow('EMFILE');
});

it('a position of another set is warned about, and what is no position is refused', async () => {
  const loader = new Loader(syntheticSource({ size: 20 }), { batch: 4 });
  const warn = vi.spyOn(log, 'warn').mockImplementation(() => {});
  loader.restore({ epoch: 1, samplesConsumed: 8, pictures: 30 });
  expect(warn).toHaveBeenCalledWith(expect.stringMatching(/has 20 pictures, it had 30/));
  warn.mockRestore();
  for (const wrong of [undefined, {}, { epoch: 1 }, { epoch: -1, samplesConsumed: 0, pictures: 20 }])
    expect(() => loader.restore(wrong)).toThrow(/Loader.restore: expected/);
});
