// Where a run's files lie, and how they get there so that the run can be read after a kill at any moment.
//   config.yaml   metrics.jsonl   events/   samples/   checkpoints/step-0001000/   checkpoints/latest   lock
// A checkpoint is written under a temporary name, flushed, renamed, and then named in `latest`; deletion goes through a
// rename too. So a folder called step-* is always complete, and names beginning with a dot are leftovers.

import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { removeTemporaries, syncFolder, writeFileAtomic } from '../util/atomic-write.ts';
import { DataError } from '../util/errors.ts';
import { failpoint, withFailpointAlias } from '../util/failpoint.ts';
import { makeFolder, writing } from '../util/storage.ts';

export interface RunPaths {
  root: string;
  config: string;
  metrics: string;
  events: string;
  samples: string;
  checkpoints: string;
  latest: string;
  lock: string;
}

export interface Checkpoint {
  step: number;
  path: string;
}

/** The layout of a run folder. Touches nothing. */
export function runPaths(root: string): RunPaths {
  const checkpoints = join(root, 'checkpoints');
  return {
    root,
    config: join(root, 'config.yaml'),
    metrics: join(root, 'metrics.jsonl'),
    events: join(root, 'events'),
    samples: join(root, 'samples'),
    checkpoints,
    latest: join(checkpoints, 'latest'),
    lock: join(root, 'lock'),
  };
}

/** Make the folders of a run and remove what a killed process left unfinished. Call it with the lock held. */
export function prepareRun(root: string): RunPaths {
  const paths = runPaths(root);
  for (const folder of [root, paths.events, paths.samples, paths.checkpoints]) makeFolder(folder);
  restoreReplaced(paths.checkpoints);
  for (const folder of [root, paths.samples, paths.checkpoints]) removeTemporaries(folder);
  return paths;
}

/** Complete checkpoints, oldest first. */
export function listCheckpoints(root: string): Checkpoint[] {
  const { checkpoints } = runPaths(root);
  if (!existsSync(checkpoints)) return [];
  return readdirSync(checkpoints)
    .flatMap((name) => {
      const step = /^step-(\d{7,})$/.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path: join(checkpoints, name) }];
    })
    .sort((a, b) => a.step - b.step);
}

/** The checkpoint that `latest` names; the newest complete one where that file is missing or names none. */
export function latestCheckpoint(root: string): Checkpoint | undefined {
  const all = listCheckpoints(root);
  const { latest, checkpoints } = runPaths(root);
  const named = existsSync(latest) ? join(checkpoints, readFileSync(latest, 'utf8').trim()) : undefined;
  return all.find(({ path }) => path === named) ?? all.at(-1);
}

/** As latestCheckpoint; DataError where there is none. */
export function requireCheckpoint(root: string): Checkpoint {
  const found = latestCheckpoint(root);
  if (found) return found;
  const what = existsSync(root) ? 'a folder without a complete checkpoint' : 'a folder that does not exist';
  throw new DataError(`${root}: expected a run directory with checkpoints/step-*, received ${what}.`);
}

/**
 * Write one checkpoint: `write` fills a temporary folder, which is flushed and renamed into place; then `latest` names it
 * and the oldest beyond `keep` are deleted (0 keeps all). When `write` throws, the run is as before.
 */
export async function commitCheckpoint(
  root: string,
  { step, keep = 0, write }: { step: number; keep?: number; write: (folder: string) => void | Promise<void> },
): Promise<Checkpoint> {
  const { checkpoints, latest } = runPaths(root);
  const name = `step-${String(step).padStart(7, '0')}`;
  const target = join(checkpoints, name);
  const temporary = hidden(target, 'new');
  makeFolder(checkpoints);
  rmSync(temporary, { recursive: true, force: true });
  makeFolder(temporary);
  try {
    await withFailpointAlias('atomic-write:middle', 'checkpoint-mid-write', () => write(temporary));
    writing(target, () => flushTree(temporary));
    failpoint('checkpoint-before-rename');
    swapIn(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  syncFolder(checkpoints);
  failpoint('checkpoint-after-rename');
  await withFailpointAlias('atomic-write:before-rename', 'latest-before-rename', () => {
    writeFileAtomic(latest, `${name}\n`);
  });
  if (keep > 0) {
    const others = listCheckpoints(root).filter((checkpoint) => checkpoint.step !== step);
    for (const old of others.slice(0, Math.max(0, others.length - keep + 1))) discard(old.path);
  }
  return { step, path: target };
}

/** Write `checkpoints/best`, which no later checkpoint deletes, in place of the one there; whole or not at all. */
export function commitBest(root: string, write: (folder: string) => void): void {
  const { checkpoints } = runPaths(root);
  const target = join(checkpoints, 'best');
  const temporary = hidden(target, 'new');
  rmSync(temporary, { recursive: true, force: true });
  makeFolder(temporary);
  try {
    write(temporary);
    writing(target, () => flushTree(temporary));
    swapIn(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  syncFolder(checkpoints);
}

/** Rename into place. The same step may exist already (a run stopped at once after a resume): it stays until then. */
function swapIn(temporary: string, target: string): void {
  if (!existsSync(target)) {
    renameSync(temporary, target);
    return;
  }
  const replaced = hidden(target, 'replaced');
  renameSync(target, replaced);
  failpoint('checkpoint-mid-swap');
  renameSync(temporary, target);
  rmSync(replaced, { recursive: true, force: true });
}

/** A kill between swapIn's renames leaves the old folder under its other name only: give it back. */
function restoreReplaced(checkpoints: string): void {
  for (const name of readdirSync(checkpoints)) {
    const step = /^\.(step-\d+|best)\.replaced\.\d+\.tmp$/.exec(name)?.[1];
    if (step !== undefined && !existsSync(join(checkpoints, step))) {
      renameSync(join(checkpoints, name), join(checkpoints, step));
    }
  }
}

/** Delete a checkpoint so that a kill halfway leaves no folder that looks complete. */
function discard(path: string): void {
  const aside = hidden(path, 'old');
  renameSync(path, aside);
  failpoint('retention-mid-delete');
  rmSync(aside, { recursive: true, force: true });
}

/** A name beside `path` that removeTemporaries takes for a leftover. */
function hidden(path: string, why: string): string {
  return join(dirname(path), `.${basename(path)}.${why}.${process.pid}.tmp`);
}

/** Flush every file and folder below `path`, whoever wrote them. */
function flushTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) flushTree(inner);
    else syncFolder(inner);
  }
  syncFolder(path);
}
