import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeFileAtomic } from './atomic-write.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-atomic-'));

test('writes text, bytes and pieces and leaves no temporary file behind', () => {
  writeFileAtomic(join(folder, 'a'), 'text');
  writeFileAtomic(join(folder, 'b'), new Uint8Array([1, 2]));
  writeFileAtomic(join(folder, 'c'), [new Uint8Array([1]), new Uint8Array([2, 3])]);
  expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('text');
  expect([...readFileSync(join(folder, 'c'))]).toEqual([1, 2, 3]);
  expect(readdirSync(folder).sort()).toEqual(['a', 'b', 'c']);
});

test('keeps the old file when a piece cannot be written', () => {
  const path = join(folder, 'kept');
  writeFileSync(path, 'old');
  expect(() => writeFileAtomic(path, [new Uint8Array([1]), { length: 1 } as unknown as Uint8Array])).toThrow();
  expect(readFileSync(path, 'utf8')).toBe('old');
  expect(readdirSync(folder)).not.toContain(`.kept.${process.pid}.tmp`);
});
