import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeLock } from './lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-lock-'));
const path = join(folder, 'lock');

test('a second taker is refused with the holder named, until release', () => {
  const release = takeLock(path);
  expect(() => takeLock(path)).toThrow(`${path}: the run is in use by process ${process.pid}.`);
  release();
  expect(existsSync(path)).toBe(false);
  takeLock(path)();
  expect(readdirSync(folder)).toEqual([]);
});

test('the lock of a dead process, of a reused process id, and a torn one are replaced', () => {
  const release = takeLock(path);
  const mine = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  release();
  const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
  for (const stale of [JSON.stringify({ ...mine, pid: dead }), JSON.stringify({ ...mine, start: '1' }), '{"pid":']) {
    writeFileSync(path, stale);
    takeLock(path)();
    expect(readdirSync(folder)).toEqual([]);
  }
});

test('a lock from another machine is respected', () => {
  writeFileSync(path, JSON.stringify({ host: 'elsewhere', boot: 'b', pid: 1, start: '1' }));
  expect(() => takeLock(path)).toThrow(/in use by process 1 on elsewhere.*delete the file/);
});

test('release leaves a lock alone that is no longer its own', () => {
  const other = join(folder, 'other');
  const release = takeLock(other);
  writeFileSync(other, 'somebody else');
  release();
  expect(existsSync(other)).toBe(true);
});
