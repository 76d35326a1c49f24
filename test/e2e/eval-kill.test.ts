// An evaluation that is killed goes on where it stopped, and ends with the same numbers to the bit; so do two processes.

import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { syntheticImage } from '../../src/data/index.ts';
import { saveNpz } from '../../src/io/npz.ts';
import { child } from './kill.ts';

test('kill -9 in the middle of an evaluation changes no bit of its result, nor do two processes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rae-eval-kill-'));
  for (const [seed, name] of ['a.npz', 'b.npz'].entries()) {
    const data = Buffer.concat(Array.from({ length: 140 }, (_, index) => syntheticImage({ seed, index, size: 32 })));
    saveNpz(join(folder, name), new Map([['arr_0', { dtype: 'u8', shape: [140, 32, 32, 3], data }]]));
  }
  const run = (name: string, workers: number, failpoint?: string) => {
    const out = join(folder, `${name}.json`);
    const sets = ['--samples', join(folder, 'a.npz'), '--reference', join(folder, 'b.npz'), '--extractor', 'embedded'];
    const how = ['--metrics', 'fid,psnr', '--workers', String(workers)];
    const args = ['eval', ...sets, ...how, '--partial', join(folder, 'partial'), '--out', out];
    return { out, ended: child(args, failpoint === undefined ? {} : { failpoint }) };
  };
  const scores = (file: string) => JSON.parse(readFileSync(file, 'utf8')).scores;

  const whole = run('whole', 1);
  expect((await whole.ended).code).toBe(0);
  const killed = run('killed', 1, 'atomic-write:middle@5'); // the second block of the samples
  expect((await killed.ended).signal).toBe('SIGKILL');
  expect(readdirSync(join(folder, 'partial')).length).toBeGreaterThan(0);
  const resumed = run('resumed', 2);
  expect((await resumed.ended).code).toBe(0);
  expect(scores(resumed.out)).toEqual(scores(whole.out));
  expect(readdirSync(join(folder, 'partial'))).toEqual([]);
});
