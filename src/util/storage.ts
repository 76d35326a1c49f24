// Folders and files that cannot be made or written: why, in one sentence, whoever meets it.

import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { StorageError } from './errors.ts';

const FULL: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
};
const REASONS: Readonly<Record<string, string>> = {
  ...FULL,
  EROFS: 'the disk is read-only',
  EACCES: 'permission denied',
  EPERM: 'the system does not allow it',
  ENOENT: 'no such folder, and none can be made there',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'a file of this name is there',
  EISDIR: 'a folder of this name is there',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'the links of the path go round in a circle',
  EFBIG: 'the disk takes no file of this size',
  EIO: 'the disk reports an error',
};

/** What the system says of an attempt to write `path`, as a StorageError; any other error as it is. */
export function storageError(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  const reason = REASONS[code];
  if (reason === undefined || error instanceof StorageError) return error;
  const next = code in FULL ? 'Make room and run it again.' : 'Name another place.';
  const name = path.length > 120 ? `${path.slice(0, 117)}...` : path;
  return new StorageError(`${name}: cannot be written (${reason}). ${next}`, { reason, cause: error });
}

/** Runs what writes `path`; its system errors become StorageError. */
export function writing<T>(path: string, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw storageError(path, error);
  }
}

/**
 * Makes a folder and those above it, where they are missing. StorageError where it cannot. One at a time: mkdirSync with `recursive` does
 * not come back from places like /proc, where making a folder fails as if the one above it were missing.
 */
export function makeFolder(path: string): void {
  writing(path, () => {
    const missing: string[] = [];
    for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
    for (const folder of missing) makeOne(folder);
    if (missing.length === 0 && !statSync(path).isDirectory()) mkdirSync(path); // the system says why not
  });
}

/** Another process may have made it meanwhile. */
function makeOne(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
