// Files that are either whole or as before, also after kill -9 and power loss: written under a temporary name beside the
// target, flushed, renamed into place, and the folder flushed too (otherwise a power cut can lose the name).
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { failpoint } from './failpoint.ts';
import { isRunning } from './lock.ts';
import { makeFolder, writing } from './storage.ts';

const CHUNK = 1 << 30; // writeSync takes at most 2^31 - 1 bytes at once

/**
 * Replaces `path` as a whole with text, bytes, or pieces made one at a time; makes its folder. On failure the old file stays; StorageError
 * where that is the disk's.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array | Iterable<string | Uint8Array>): void {
  const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
  makeFolder(dirname(path));
  replaceFile(path, pieces);
}

/** Errors of making a piece (its source cannot be read) stay what they are; only those of writing are the target's. */
function replaceFile(path: string, pieces: Iterable<string | Uint8Array>): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const fd = writing(path, () => openSync(temporary, 'w'));
  try {
    try {
      for (const piece of pieces) {
        const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
        writing(path, () => writeFully(fd, bytes));
      }
      writing(path, () => fsyncSync(fd));
    } finally {
      closeSync(fd);
    }
    failpoint('atomic-write:before-rename');
    writing(path, () => renameSync(temporary, path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  writing(path, () => syncFolder(dirname(path)));
}

/** Makes a rename or a new entry in `folder` durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } catch (error) {
    // Some network file systems refuse this on folders; the rename itself has happened.
    if (!['EINVAL', 'ENOTSUP', 'EBADF', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    closeSync(fd);
  }
}

/** Removes what a killed process left half-written in `folder`. Only for folders that no other process writes to. */
export function removeTemporaries(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (/^\..*\.\d+\.tmp$/.test(name)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** Removes what killed processes of this machine left beside `target` on their way to it, an hour ago or earlier. */
export function removeAbandoned(target: string, now = Date.now()): void {
  const [folder, name] = [dirname(target), basename(target)];
  for (const entry of readdirSync(folder)) {
    if (!entry.startsWith(`.${name}.`)) continue;
    const pid = /^(?:spool\.)?(\d+)\.tmp$/.exec(entry.slice(name.length + 2))?.[1];
    const path = join(folder, entry);
    const age = now - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now);
    if (pid !== undefined && age > 3_600_000 && !isRunning(Number(pid))) rmSync(path, { recursive: true, force: true });
  }
}

function writeFully(fd: number, bytes: Uint8Array): void {
  let at = 0;
  if (process.env.RAE_FAILPOINT !== undefined) {
    at += writeSync(fd, bytes, 0, Math.floor(bytes.length / 2));
    failpoint('atomic-write:middle');
  }
  while (at < bytes.length) at += writeSync(fd, bytes, at, Math.min(bytes.length - at, CHUNK));
}
