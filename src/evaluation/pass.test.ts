import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticImage } from '../data/index.ts';
import { savePng } from '../io/image.ts';
import { saveNpz } from '../io/npz.ts';
import { getThreads } from '../tensor/index.ts';
import type { Extractor } from './extractor.ts';
import { type ExtractorFile, loadExtractor } from './load-extractor.ts';
import { openSet } from './open-set.ts';
import { type Job, runPass } from './pass.ts';
import type { SetSpec } from './picture-set.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-pass-'));
const pictures = join(folder, 'pictures');
const SIDE = 32;
const COUNT = 150; // three blocks, the last one part full
const images = Array.from({ length: COUNT }, (_, index) => syntheticImage({ seed: 0, index, size: SIDE }));
let extractor: Extractor & ExtractorFile;

beforeAll(async () => {
  extractor = loadExtractor('embedded');
  await Promise.all(
    images.map((data, i) =>
      savePng(join(pictures, `${String(i).padStart(3, '0')}.png`), { width: SIDE, height: SIDE, data }),
    ),
  );
  writeFileSync(join(pictures, '007.png'), 'no picture');
  saveNpz(
    join(folder, 'pictures.npz'),
    new Map([['arr_0', { dtype: 'u8', shape: [COUNT, SIDE, SIDE, 3], data: Buffer.concat(images) }]]),
  );
});
afterAll(() => extractor.dispose());

const inFolder = { kind: 'files', path: pictures, side: SIDE, exif: true } as const;
const inArchive = { kind: 'npz', path: join(folder, 'pictures.npz') } as const;

interface Options {
  portion?: number;
  workers?: number;
  stopAt?: number;
}

async function pass(spec: SetSpec, { portion, workers, stopAt }: Options = {}, more: Partial<Job> = {}) {
  const job: Job = { set: spec, extractor: 'embedded', layers: ['mean'], portion, ...more };
  const set = await openSet(spec, job);
  let calls = 0;
  const onProgress = () => {
    if (++calls === stopAt) throw new Error('stop');
  };
  const result = await runPass(job, { cache: join(folder, 'cache'), set, extractor, workers, onProgress });
  const bytes = Buffer.concat(Array.from(result.features('mean'), (rows) => rows.toBytes()));
  const found = {
    bytes: bytes.toString('base64'),
    digest: result.digest,
    count: result.count,
    unreadable: result.unreadable,
    calls,
  };
  return { ...found, psnr: result.figures('psnr'), free: () => result.dispose() };
}

test('features are the same to the bit for any portion, any number of processes, and after a stop', async () => {
  const threads = getThreads();
  const whole = await pass(inFolder);
  whole.free();
  const expected = { bytes: whole.bytes, digest: whole.digest, count: COUNT - 1 };
  for (const options of [{ portion: 1 }, { portion: 7 }, { workers: 2 }]) {
    const other = await pass(inFolder, options);
    expect(other, JSON.stringify(options)).toMatchObject(expected);
    other.free();
  }
  await expect(pass(inFolder, { stopAt: 3 })).rejects.toThrow('stop');
  const resumed = await pass(inFolder);
  expect(resumed).toMatchObject(expected);
  expect(resumed.calls).toBe(2); // one block was left
  resumed.free();
  expect(getThreads()).toBe(threads);
  expect(readdirSync(join(folder, 'cache'))).toEqual([]);
});

test('a picture that cannot be read is named, and the others keep their features', async () => {
  const [some, all] = [await pass(inFolder), await pass(inArchive)];
  expect(some.unreadable.map(({ index }) => index)).toEqual([7]);
  expect(some.unreadable[0]!.message).toMatch(/007\.png: not a readable picture/);
  const row = 4 * extractor.layers.mean!;
  const without = Buffer.from(all.bytes, 'base64');
  expect(some.bytes).toBe(Buffer.concat([without.subarray(0, 7 * row), without.subarray(8 * row)]).toString('base64'));
  some.free();
  all.free();
});

test('pictures are compared with their originals by index, where both can be read', async () => {
  const spec = { kind: 'pairs', pictures: inFolder, originals: inArchive } as const;
  const { psnr, free } = await pass(spec, {}, { pairs: ['psnr'] });
  expect(psnr).toEqual(Array.from({ length: COUNT - 1 }, () => 100)); // PNG loses nothing
  free();
});

test('two evaluations do not work on the same partial results', async () => {
  const first = await pass(inArchive);
  await expect(pass(inArchive)).rejects.toThrow(/this evaluation is in use by process/);
  first.free();
});
