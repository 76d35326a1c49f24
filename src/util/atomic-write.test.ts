import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { flushTree, writeFileAtomic } from './atomic-write.ts';

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

it('when a piece cannot be made, the old file stays and no temporary one', () => {
  const file = join(folder, 'state.json');
  writeFileAtomic(file, 'old');
  function* pieces() {
    yield 'half';
    throw new Error('out of memory');
  }
  expect(() => writeFileAtomic(file, pieces())).toThrow('out of memory');
  expect(readFileSync(file, 'utf8')).toBe('old');
  expect(readdirSync(folder)).toEqual(['state.json']);
});

it('a tree of files and folders is flushed without complaint', () => {
  mkdirSync(join(folder, 'deep', 'er'), { recursive: true });
  writeFileSync(join(folder, 'deep', 'er', 'x'), 'x');
  expect(() => flushTree(folder)).not.toThrow();
});

it.each(['mid-write', 'file-rename'])('a kill at %s leaves the old file', (place) => {
  const file = join(folder, 'latest');
  writeFileAtomic(file, 'old');
  const url = JSON.stringify(new URL('./atomic-write.ts', import.meta.url).href);
  const code = `import(${url}).then((m) => m.writeFileAtomic(${JSON.stringify(file)}, 'new'))`;
  const env = { ...process.env, RAE_FAILPOINT: place };
  const child = spawnSync(process.execPath, ['--import', 'tsx', '-e', code], { env });
  expect(child.signal).toBe('SIGKILL');
  expect(readFileSync(file, 'utf8')).toBe('old');
  const leftovers = readdirSync(folder).filter((name) => name !== 'latest');
  expect(leftovers.map((name) => readFileSync(join(folder, name), 'utf8'))).toEqual([
    place === 'mid-write' ? 'n' : 'new',
  ]);
});
