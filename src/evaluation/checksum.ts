// SHA-256 of files: what a result carries, so that two numbers are known to come from the same weights and the same reference.

import { createHash } from 'node:crypto';
import { withFile } from '../io/file-reader.ts';

const CHUNK = 16 << 20;

/** Checksum of a file's bytes, in hexadecimal. DataError when it cannot be read. */
export function fileChecksum(path: string): string {
  return withFile(path, (file) => {
    const hash = createHash('sha256');
    for (let at = 0; at < file.size; at += CHUNK) hash.update(file.read(at, Math.min(CHUNK, file.size - at)));
    return hash.digest('hex');
  });
}
