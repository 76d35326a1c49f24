import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeLock } from '../util/lock.ts';
import { removeForgotten } from './unfinished.ts';

const DAY = 86_400_000;

test('an evaluation that nobody went on with for a month is removed; one in work and what is no evaluation stay', () => {
  const cache = mkdtempSync(join(tmpdir(), 'rae-unfinished-'));
  const names = { forgotten: 'a'.repeat(24), inWork: 'b'.repeat(24), photos: 'photos' };
  for (const name of Object.values(names)) {
    mkdirSync(join(cache, name));
    writeFileSync(join(cache, name, 'block-000000.safetensors'), '');
  }
  writeFileSync(join(cache, `${names.forgotten}.lock`), 'torn');
  writeFileSync(join(cache, `${'c'.repeat(24)}.lock`), 'torn'); // killed before it had a folder
  const release = takeLock(join(cache, `${names.inWork}.lock`));
  removeForgotten(cache, Date.now() + 29 * DAY);
  expect(readdirSync(cache)).toHaveLength(6);
  removeForgotten(cache, Date.now() + 31 * DAY);
  expect(readdirSync(cache).sort()).toEqual([names.inWork, `${names.inWork}.lock`, names.photos]);
  release();
});
