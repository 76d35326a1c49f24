// SHA-256 of files and of pieces made one at a time, as hexadecimal text: how caches know that two things are the same.

import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 4 << 20;

/** Of pieces one after another. */
export function sha256(pieces: Iterable<string | Uint8Array>): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

/** Of a file, in portions. */
export function sha256OfFile(path: string): string {
  const fd = openSync(path, 'r');
  const buffer = new Uint8Array(CHUNK);
  try {
    return sha256(portions());
  } finally {
    closeSync(fd);
  }

  function* portions(): Generator<Uint8Array> {
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) yield buffer.subarray(0, got);
  }
}
