import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeFolderAtomic, removeTemporaries, writeAtomic, writeFileAtomic } from './atomic-write.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rae-atomic-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('writes strings and bytes in pieces, making the folder', () => {
  writeFileAtomic(join(folder, 'a', 'b.txt'), ['one ', new TextEncoder().encode('two'), '']);
  expect(readFileSync(join(folder, 'a', 'b.txt'), 'utf8')).toBe('one two');
  expect(readdirSync(join(folder, 'a'))).toEqual(['b.txt']);
});

it('a writer that throws leaves the old file and no temporary one', () => {
  const file = join(folder, 'state.json');
  writeFileAtomic(file, 'old');
  const failing = () =>
    writeAtomic(file, (fd) => {
      writeSync(fd, 'half');
      throw new Error('disk full');
    });
  expect(failing).toThrow('disk full');
  expect(readFileSync(file, 'utf8')).toBe('old');
  expect(readdirSync(folder)).toEqual(['state.json']);
});

it('a folder appears whole or not at all', () => {
  const target = join(folder, 'step-1');
  const half = () =>
    makeFolderAtomic(target, (temporary) => {
      writeFileSync(join(temporary, 'model'), 'x');
      throw new Error('stop');
    });
  expect(half).toThrow('stop');
  expect(readdirSync(folder)).toEqual([]);
  makeFolderAtomic(target, (temporary) => writeFileSync(join(temporary, 'model'), 'x'));
  expect(readdirSync(target)).toEqual(['model']);
  expect(() => makeFolderAtomic(target, () => {})).toThrow(/expected no .*step-1/);
});

it.each(['atomic-write:written', 'atomic-write:before-rename'])(
  'a kill at %s leaves the old file readable',
  (place) => {
    const file = join(folder, 'latest');
    writeFileAtomic(file, 'old');
    const url = JSON.stringify(new URL('./atomic-write.ts', import.meta.url).href);
    const code = `import(${url}).then((m) => m.writeFileAtomic(${JSON.stringify(file)}, 'new'))`;
    const env = { ...process.env, RAE_FAILPOINT: place };
    const child = spawnSync(process.execPath, ['--import', 'tsx', '-e', code], { env });
    expect(child.signal).toBe('SIGKILL');
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect(removeTemporaries(folder)).toHaveLength(1);
    expect(readdirSync(folder)).toEqual(['latest']);
  },
);
