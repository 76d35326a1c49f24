// Files that are either whole or as before, also after kill -9 and power loss: written under a temporary name beside the
// target, flushed, renamed into place, and the folder flushed too (otherwise a power cut can lose the name).
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { failpoint, failpointsArmed } from './failpoint.ts';

const CHUNK = 1 << 30; // writeSync takes at most 2^31 - 1 bytes at once

/** Replaces `path` as a whole with text, bytes, or pieces made one at a time; makes its folder. On failure the old file stays. */
export function writeFileAtomic(path: string, data: string | Uint8Array | Iterable<string | Uint8Array>): void {
  const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    const fd = openSync(temporary, 'w');
    try {
      for (const piece of pieces) writeFully(fd, typeof piece === 'string' ? Buffer.from(piece) : piece);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    failpoint('file-rename');
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  fsyncPath(dirname(path));
}

/** Flushes a file, or a folder's entries (renames, new files), to the disk. */
export function fsyncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } catch (error) {
    // Some network file systems refuse this on folders; the rename itself has happened.
    if (!['EINVAL', 'ENOTSUP', 'EBADF', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    closeSync(fd);
  }
}

/** Flushes everything below a folder, and the folder. */
export function flushTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) flushTree(path);
    else if (entry.isFile()) fsyncPath(path);
  }
  fsyncPath(folder);
}

function writeFully(fd: number, bytes: Uint8Array): void {
  let at = 0;
  if (failpointsArmed) {
    at += writeSync(fd, bytes, 0, Math.floor(bytes.length / 2));
    failpoint('mid-write');
  }
  while (at < bytes.length) at += writeSync(fd, bytes, at, Math.min(bytes.length - at, CHUNK));
}
