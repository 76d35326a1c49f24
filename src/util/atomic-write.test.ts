import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeAbandoned, removeTemporaries, writeFileAtomic } from './atomic-write.ts';

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

it('an error of reading what is to be written keeps its own name', () => {
  function* pieces() {
    yield readFileSync(join(folder, 'source'));
  }
  expect(() => writeFileAtomic(join(folder, 'copy'), pieces())).toThrow(/ENOENT.*source/);
});

it.each(['middle', 'before-rename'])('a kill at %s leaves the old file', (place) => {
  const file = join(folder, 'latest');
  writeFileAtomic(file, 'old');
  const url = JSON.stringify(new URL('./atomic-write.ts', import.meta.url).href);
  const code = `import(${url}).then((m) => m.writeFileAtomic(${JSON.stringify(file)}, 'new'))`;
  const env = { ...process.env, RAE_FAILPOINT: `atomic-write:${place}` };
  const child = spawnSync(process.execPath, ['--import', 'tsx', '-e', code], { env });
  expect(child.signal).toBe('SIGKILL');
  expect(readFileSync(file, 'utf8')).toBe('old');
  const leftovers = readdirSync(folder).filter((name) => name !== 'latest');
  expect(leftovers.map((name) => readFileSync(join(folder, name), 'utf8'))).toEqual([place === 'middle' ? 'n' : 'new']);
  removeTemporaries(folder);
  expect(readdirSync(folder)).toEqual(['latest']);
});

it('what a killed process left beside a target goes after an hour, and nothing else', () => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const left = [`.set.npz.${dead}.tmp`, `.set.npz.spool.${dead}.tmp`];
  const others = [`.other.npz.${dead}.tmp`, `.set.npz.${process.pid}.tmp`, 'set.npz'];
  for (const name of [...left, ...others]) writeFileSync(join(folder, name), '');
  removeAbandoned(join(folder, 'set.npz'));
  expect(readdirSync(folder)).toHaveLength(5);
  removeAbandoned(join(folder, 'set.npz'), Date.now() + 2 * 3_600_000);
  expect(readdirSync(folder).sort()).toEqual(others.sort());
});
