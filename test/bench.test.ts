// The bench's own parts: quantiles, the table, the record, and a side of ours that answers. Comparisons run by hand: npm run bench.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { regressions } from '../bench/check.ts';
import { quantile, type Row } from '../bench/measure.ts';
import { entry, record, table } from '../bench/report.ts';
import { startOurs } from '../bench/side.ts';
import { tinyVision } from '../bench/vision-works.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

const row: Row = {
  name: 'steps',
  title: 'thousands of steps',
  unit: 'us',
  ours: { time: 4e-4, peak: 200 * 2 ** 20 },
  peer: { time: 8e-4, peak: 400 * 2 ** 20, version: '2.13.0' },
  ratio: { median: 0.5, lower: 0.45, upper: 0.55 },
  cpu: 0.52,
  memory: 0.5,
  pairs: 7,
  value: [1, 1],
  growth: { tensors: 0, resident: 2 ** 20 },
};

it('quantiles lie between neighbours and do not mind the order', () => {
  expect([quantile([3, 1, 2], 0.5), quantile([4, 1, 2, 3], 0.25), quantile([5], 0.75)]).toEqual([2, 1.75, 5]);
});

it('the table gives times, ratio with quartiles, memory and growth', () => {
  const text = table([row]);
  expect(text).toMatch(/steps +400\.0 us +800\.0 us +0\.500 +0\.450-0\.550 +0\.520 +200 \/ 400 MB +0\.50/);
  expect(text).toMatch(/steps: 0 tensors and 1\.0 MB more/);
});

it('the record keeps old entries below the new one', () => {
  const file = join(folder, 'benchmarks.md');
  const text = (name: string) => entry([{ ...row, name }], { threads: 2, precision: 'fp32' });
  record(file, text('older'));
  record(file, text('newer'));
  const written = readFileSync(file, 'utf8');
  expect(written).toMatch(/^# Benchmarks\n/);
  expect(written.indexOf('| newer |')).toBeLessThan(written.indexOf('| older |'));
  expect(written.match(/^## \d{4}-\d\d-\d\d, /gm)).toHaveLength(2);
});

it('a side of ours answers with times, processor time, value and peak, and ends with its input', async () => {
  const side = await startOurs('call', { calls: 200 }, 1);
  const answer = await side.run('add', 3);
  await side.stop();
  expect(side.ready.name).toBe('rae-ts');
  expect(answer.seconds).toHaveLength(3);
  expect(answer.value).toBe(8);
  expect(answer.peak).toBeGreaterThan(50e6);
});

it.each(['encoder', 'decoder'] as const)(
  'a tiny %s runs, and says its parameters for the share of the peak',
  async (part) => {
    const side = await startOurs('vision', { batch: 2, precision: 'bf16', [part]: tinyVision[part] }, 1);
    const answer = await side.run('forward', 1);
    const peak = await side.run('peak', 1);
    await side.stop();
    expect(side.ready.parameters).toBeGreaterThan(1000);
    expect(answer.value).toBeGreaterThan(0);
    expect(peak.value).toBeGreaterThan(1e9);
  },
);

it('a side that ends without an answer is an error that names it', async () => {
  const side = await startOurs('call', { calls: 200 }, 1);
  await expect(side.run('subtract', 1)).rejects.toThrow(/ours\/call\.ts ended with 1 before it answered/);
  await side.stop();
});

it('the check finds a ratio that is worse than the newest record of its dtype and peer, beyond both spreads', () => {
  const file = join(folder, 'recorded.md');
  const slower = { ...row, ratio: { median: 0.7, lower: 0.68, upper: 0.72 } };
  record(file, entry([slower], { threads: 2, precision: 'fp32' }));
  record(file, entry([row], { threads: 2, precision: 'fp32' }));
  record(file, entry([slower], { threads: 2, precision: 'bf16' }));
  const text = readFileSync(file, 'utf8');
  const found = (now: Row, precision: string, peer = 'eager') => regressions([now], text, precision, peer);
  expect(found(slower, 'fp32')).toEqual({ worse: ['steps: 0.700 where 0.500 is recorded'], compared: 1 });
  expect(found(row, 'fp32').worse).toEqual([]);
  expect(found({ ...row, ratio: { median: 0.53, lower: 0.52, upper: 0.54 } }, 'fp32').worse).toEqual([]);
  expect(found(slower, 'bf16').worse).toEqual([]);
  expect(found(slower, 'fp32', 'torch.compile').compared).toBe(0);
});
