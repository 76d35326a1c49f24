import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StorageError } from './errors.ts';
import { makeFolder, storageError } from './storage.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rae-storage-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('a folder below a file, or in the place of one, is refused with the reason', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => makeFolder(join(folder, 'file'))).toThrow('cannot be written (a file of this name is there)');
  expect(() => makeFolder(join(folder, 'file', 'run'))).toThrow('cannot be written (a part of the path is a file)');
});

it.runIf(process.platform === 'linux')('a folder in /proc is refused at once', () => {
  expect(() => makeFolder('/proc/run/checkpoints')).toThrow(StorageError);
});

it('a full disk is named, and any other error stays what it is', () => {
  const full = storageError('run', Object.assign(new Error('no space'), { code: 'ENOSPC' }));
  expect((full as Error).message).toBe('run: cannot be written (the disk is full). Make room and run it again.');
  const other = new TypeError('x');
  expect(storageError('run', other)).toBe(other);
});
