// Files and folders that are either whole or absent, also after kill -9 and power loss: write under a temporary name in
// the same folder, fsync, rename, fsync the folder. Everything a run must find again is written through here.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { failpoint } from './failpoint.ts';

export type Chunk = string | Uint8Array;

/** Writes a file whole or not at all; `data` may come in pieces. The folder is made when missing. */
export function writeFileAtomic(path: string, data: Chunk | Iterable<Chunk>): void {
  const chunks = typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
  writeAtomic(path, (fd) => {
    for (const chunk of chunks) writeAll(fd, chunk);
  });
}

/** The same for a writer that wants the file descriptor; when it throws, `path` stays as it was. */
export function writeAtomic(path: string, write: (fd: number) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  const fd = openSync(temporary, 'w');
  try {
    write(fd);
    failpoint('atomic-write:written');
    fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  closeSync(fd);
  failpoint('atomic-write:before-rename');
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Fills a folder under a temporary name and renames it into place; `path` must not exist. Files inside are fsynced by their writers. */
export function makeFolderAtomic(path: string, fill: (temporary: string) => void): void {
  if (existsSync(path)) throw new Error(`makeFolderAtomic: expected no ${path}, received an existing one.`);
  const temporary = temporaryName(path);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    fill(temporary);
    syncFolder(temporary);
    failpoint('atomic-folder:before-rename');
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** Removes what a killed process left half-written in `folder`. Only for folders that no other process writes to. */
export function removeTemporaries(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^\..*\.\d+\.tmp$/.test(name));
  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true });
  return names;
}

/** Writes all of `chunk` at the file's position (one write may be short). */
export function writeAll(fd: number, chunk: Chunk): void {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  for (let done = 0; done < bytes.byteLength; ) done += writeSync(fd, bytes, done, bytes.byteLength - done);
}

/** Makes a rename or a new entry durable; file systems that cannot open a folder for this are left alone. */
export function syncFolder(folder: string): void {
  let fd: number;
  try {
    fd = openSync(folder, 'r');
  } catch {
    return;
  }
  try {
    fsyncSync(fd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    closeSync(fd);
  }
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}
