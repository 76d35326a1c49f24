import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { recipe } from '../recipes/index.ts';
import { takeLock } from '../util/lock.ts';
import { log } from '../util/log.ts';
import { trainStage } from './train-stage.ts';

log.quiet = true;

const config = (stage: 'rae' | 'dit') => resolveConfig(recipe(`embedded-${stage}`));

const FILES = ['encoder', 'decoder', 'stats'].map((name) => `${name}.safetensors`);

/** A folder with the files of a run that must not be touched. */
function taken(): string {
  const out = mkdtempSync(join(tmpdir(), 'rae-stage-'));
  for (const name of FILES) writeFileSync(join(out, name), 'mine');
  return out;
}

const contents = (out: string) => FILES.map((name) => readFileSync(join(out, name), 'utf8'));

test.each(['rae', 'dit'] as const)(
  "a new %s run leaves another run's encoder and decoder as they are",
  async (stage) => {
    const out = taken();
    mkdirSync(join(out, 'checkpoints/step-0000001'), { recursive: true });
    await expect(trainStage(stage, config(stage), { out, rae: 'embedded' })).rejects.toThrow(/--out: .*Add --resume/);
    expect(contents(out)).toEqual(['mine', 'mine', 'mine']);
  },
);

test('a run that another process has begun, without a checkpoint yet, is left alone, too', async () => {
  const out = taken();
  const release = takeLock(join(out, 'lock'));
  await expect(trainStage('dit', config('dit'), { out, rae: 'embedded' })).rejects.toThrow(/in use by process/);
  expect(contents(out)).toEqual(['mine', 'mine', 'mine']);
  release();
});

test('a resumed run refuses pictures of other classes, which would have its labels', async () => {
  const out = taken();
  writeFileSync(join(out, 'classes.json'), '["cat", "dog"]');
  const resumed = trainStage('dit', config('dit'), { out, resume: true });
  await expect(resumed).rejects.toThrow(/data\.path: expected pictures of the 2 classes .*\(cat, dog\)/);
  expect(readFileSync(join(out, 'classes.json'), 'utf8')).toBe('["cat", "dog"]');
});

test('a run that cannot begin gives its folder back', async () => {
  const out = taken();
  await expect(trainStage('dit', config('dit'), { out })).rejects.toThrow(/--rae: /);
  expect(readdirSync(out)).not.toContain('lock');
});
