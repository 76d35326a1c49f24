// The place of unfinished evaluations: one folder each, named by what its bits depend on, with a lock beside it. One that nobody goes on
// with would stay for ever, so that every evaluation removes those that have not been touched for a month.

import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { takeLock } from '../util/lock.ts';

const KEPT_DAYS = 30;

/** Removes folders and locks of evaluations in `cache` that were last touched more than a month before `now` (ms) and are not in work. */
export function removeForgotten(cache: string, now = Date.now()): void {
  if (!existsSync(cache)) return;
  for (const name of readdirSync(cache)) {
    if (!/^[0-9a-f]{24}(\.lock)?$/.test(name)) continue; // --partial may be any folder
    const folder = join(cache, name.replace('.lock', ''));
    if (now - touched(folder) < KEPT_DAYS * 86_400_000) continue;
    try {
      const release = takeLock(`${folder}.lock`);
      rmSync(folder, { recursive: true, force: true });
      release();
    } catch {
      // in work, or not ours to remove: no reason to stop an evaluation
    }
  }
}

/** When a folder's content last changed, or its lock where it has none yet. */
function touched(folder: string): number {
  const at = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Math.max(at(folder), at(`${folder}.lock`));
}
