import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { crc32c } from './events.ts';
import { appendMetrics, cutMetrics, openEvents, readMetrics } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-logs-'));
const path = join(folder, 'metrics.jsonl');

test('lines written after a checkpoint, and a torn one, are cut', () => {
  for (const step of [1, 2, 3]) appendMetrics(path, { step, loss: step / 2 });
  appendFileSync(path, '{"step":4,"lo');
  expect(readMetrics(path).map(({ step }) => step)).toEqual([1, 2, 3]);
  cutMetrics(path, 2);
  expect(readFileSync(path, 'utf8')).toBe('{"step":1,"loss":0.5}\n{"step":2,"loss":1}\n');
  appendMetrics(path, { step: 3, loss: Number.NaN });
  expect(readMetrics(path).at(-1)).toEqual({ step: 3, loss: null });
});

test('a broken line in the middle is named, a missing file is empty', () => {
  const broken = join(folder, 'broken.jsonl');
  writeFileSync(broken, '{"step":1}\nnonsense\n{"step":2}\n');
  expect(() => readMetrics(broken)).toThrow(`${broken}: expected a JSON object with a numeric step in line 2`);
  expect(readMetrics(join(folder, 'none'))).toEqual([]);
  cutMetrics(join(folder, 'none'), 1);
});

test('CRC-32C has its check value', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});

test('event files hold framed records: version, session start, scalars, pictures', () => {
  const events = openEvents(join(folder, 'events'), { step: 300 });
  events.scalar('loss/total', 0.25, 301);
  const png = new Uint8Array(24);
  new DataView(png.buffer).setUint32(16, 5);
  new DataView(png.buffer).setUint32(20, 6);
  events.image('samples', png, 301);
  const file = readFileSync(events.path);
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    records.push(file.subarray(at + 12, at + 12 + length));
    at += length + 16;
  }
  expect(records).toHaveLength(4);
  expect(records[0]!.includes('brain.Event:2')).toBe(true);
  expect(records[1]!.subarray(9)).toEqual(Buffer.from([0x10, 0xac, 0x02, 0x3a, 2, 8, 1])); // step 300, SessionLog START
  expect(records[2]!.includes('loss/total')).toBe(true);
  expect(records[2]!.readFloatLE(records[2]!.length - 4)).toBe(0.25);
  expect(records[3]!.includes(Buffer.from([8, 6, 16, 5, 24, 3]))).toBe(true); // height 6, width 5, RGB
});
