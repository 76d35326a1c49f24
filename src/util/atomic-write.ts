// Files that are either complete or absent: written under a temporary name beside the target, flushed to the disk,
// renamed into place, and the folder flushed too (otherwise a power cut can lose the name).

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const CHUNK = 1 << 30; // writeSync takes at most 2^31 - 1 bytes at once

/** Replace `path` as a whole with `data`: text, bytes, or pieces made one at a time. On failure the old file stays. */
export function writeFileAtomic(path: string, data: string | Uint8Array | Iterable<Uint8Array>): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const pieces = typeof data === 'string' ? [Buffer.from(data)] : data instanceof Uint8Array ? [data] : data;
  try {
    const fd = openSync(temporary, 'w');
    try {
      for (const piece of pieces) writeFully(fd, piece);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  fsyncFolder(dirname(path));
}

/** Flush a folder's entries (renames, new files) to the disk; a no-op where folders cannot be opened. */
export function fsyncFolder(path: string): void {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    fsyncSync(fd);
  } catch {
    // Some network file systems refuse fsync on folders; the rename itself has happened.
  } finally {
    closeSync(fd);
  }
}

function writeFully(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, Math.min(bytes.length - at, CHUNK));
}
