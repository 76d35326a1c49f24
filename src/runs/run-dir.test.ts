import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { writeFileAtomic } from '../util/atomic-write.ts';
import {
  commitBest,
  commitCheckpoint,
  latestCheckpoint,
  listCheckpoints,
  prepareRun,
  requireCheckpoint,
  runPaths,
} from './index.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rae-run-'));
});
const commit = (step: number, keep = 0, text = `state ${step}`) =>
  commitCheckpoint(root, { step, keep, write: (folder) => writeFileAtomic(join(folder, 'state.json'), text) });
const steps = () => listCheckpoints(root).map(({ step }) => step);

test('a checkpoint lies complete in its folder and `latest` names it', async () => {
  const { path } = await commit(7);
  expect(path).toBe(join(root, 'checkpoints', 'step-0000007'));
  expect(readFileSync(runPaths(root).latest, 'utf8')).toBe('step-0000007\n');
  expect(latestCheckpoint(root)).toEqual({ step: 7, path });
});

test('only the newest are kept, by number and not by name', async () => {
  for (const step of [9_999_999, 10_000_000, 10_000_001]) await commit(step, 2);
  expect(steps()).toEqual([10_000_000, 10_000_001]);
});

test('the best is written anew in its place and outlives every other checkpoint', async () => {
  const write = (text: string) => (folder: string) => writeFileAtomic(join(folder, 'state.json'), text);
  const best = () => readFileSync(join(root, 'checkpoints', 'best', 'state.json'), 'utf8');
  commitBest(root, write('first'));
  commitBest(root, write('second'));
  const fail = () => {
    throw new Error('disk full');
  };
  expect(() => commitBest(root, fail)).toThrow('disk full');
  for (const step of [1, 2, 3]) await commit(step, 1);
  prepareRun(root);
  expect(best()).toBe('second');
  expect([steps(), latestCheckpoint(root)?.step]).toEqual([[3], 3]);
  expect(readdirSync(join(root, 'checkpoints')).sort()).toEqual(['best', 'latest', 'step-0000003']);
});

test('a writer that fails leaves the run as it was', async () => {
  await commit(1);
  const failed = commitCheckpoint(root, {
    step: 2,
    write: (folder) => {
      writeFileSync(join(folder, 'half'), 'x');
      throw new Error('disk full');
    },
  });
  await expect(failed).rejects.toThrow('disk full');
  expect(latestCheckpoint(root)?.step).toBe(1);
  expect(readdirSync(runPaths(root).checkpoints).sort()).toEqual(['latest', 'step-0000001']);
});

test('the same step can be written again', async () => {
  await commit(3, 0, 'first');
  const { path } = await commit(3, 0, 'second');
  expect(readFileSync(join(path, 'state.json'), 'utf8')).toBe('second');
});

test('without a usable `latest` the newest complete checkpoint counts', async () => {
  await commit(1);
  await commit(2);
  writeFileSync(runPaths(root).latest, 'step-0000009\n');
  expect(latestCheckpoint(root)?.step).toBe(2);
  writeFileSync(runPaths(root).latest, 'step-0000001\n');
  expect(latestCheckpoint(root)?.step).toBe(1);
});

test('leftovers of a killed process are removed when the run is opened, and are never taken for checkpoints', async () => {
  await commit(1);
  mkdirSync(join(root, 'checkpoints', '.step-0000002.new.999.tmp'));
  mkdirSync(join(root, 'checkpoints', 'step-2'));
  expect(steps()).toEqual([1]);
  prepareRun(root);
  expect(existsSync(join(root, 'checkpoints', '.step-0000002.new.999.tmp'))).toBe(false);
});

test('a folder without checkpoints is named', () => {
  expect(() => requireCheckpoint(root)).toThrow(`${root}: expected a run directory with checkpoints/step-*`);
  expect(() => requireCheckpoint(join(root, 'none'))).toThrow(/does not exist/);
});

// A child writes checkpoints 1, 2, 2 (again), 3 keeping two, and dies on the way; what remains must be whole.
const child = `
  import { join } from 'node:path';
  import { commitCheckpoint, prepareRun } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))};
  import { writeFileAtomic } from ${JSON.stringify(join(import.meta.dirname, '..', 'util', 'atomic-write.ts'))};
  const root = process.argv[2];
  prepareRun(root);
  for (const step of [1, 2, 2, 3]) {
    await commitCheckpoint(root, { step, keep: 2, write: (folder) => {
      for (const name of ['a', 'b']) writeFileAtomic(join(folder, name), String(step).repeat(1000));
    } });
  }`;

test.each([
  ['checkpoint-mid-write@4', 1],
  ['checkpoint-before-rename@2', 1],
  ['checkpoint-mid-swap', 2],
  ['checkpoint-after-rename@2', 1],
  ['latest-before-rename@4', 2],
  ['retention-mid-delete', 3],
])('a kill at %s leaves a run that opens at step %i', (failpoint, expectedStep) => {
  const script = join(root, 'child.mts');
  writeFileSync(script, child);
  const run = join(root, 'run');
  const tsx = join(import.meta.dirname, '..', '..', 'node_modules', 'tsx', 'dist', 'loader.mjs');
  expect(() =>
    execFileSync(process.execPath, ['--import', tsx, script, run], {
      env: { ...process.env, RAE_FAILPOINT: failpoint },
    }),
  ).toThrow(/SIGKILL|Command failed/);
  prepareRun(run);
  expect(latestCheckpoint(run)?.step).toBe(expectedStep);
  for (const { step, path } of listCheckpoints(run)) {
    for (const name of ['a', 'b']) expect(readFileSync(join(path, name), 'utf8')).toBe(String(step).repeat(1000));
    expect(readdirSync(path).sort()).toEqual(['a', 'b']);
  }
});
