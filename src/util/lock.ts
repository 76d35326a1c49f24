// One process per folder or file: the lock holds the owner's host, boot, process id and start time. A lock whose process is gone (killed,
// power cut, id reused by another program) is recognised as stale and replaced.

import { execFileSync } from 'node:child_process';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { ConfigError } from './errors.ts';
import { makeFolder, writing } from './storage.ts';

interface Owner {
  host: string;
  boot: string;
  pid: number;
  start: string;
}

interface LockWords {
  /** What is locked, for messages. */
  what?: string;
  /** What to do while another process has it. */
  next?: string;
}

/** Take the lock at `path`; returns its release. ConfigError names the process that holds it. */
export function takeLock(
  path: string,
  { what = 'the run', next = 'choose another --out' }: LockWords = {},
): () => void {
  const mine = JSON.stringify(owner(process.pid));
  const temporary = `${path}.${process.pid}`;
  for (let attempt = 0; attempt < 10; attempt++) {
    if (place(temporary, path, mine)) return () => release(path, mine);
    const held = read(path);
    if (held === undefined) continue; // released just now
    const holder = parse(held);
    if (holder !== undefined && isAlive(holder)) throw inUse(path, holder, { what, next });
    replaceStale(path, held);
  }
  throw new ConfigError(`${path}: other processes keep taking the lock. Start one at a time.`);
}

/** A complete lock file appears at once or not at all, and never over another. */
function place(temporary: string, path: string, content: string): boolean {
  makeFolder(dirname(path));
  writing(path, () => writeFileSync(temporary, content));
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code)) throw error;
    return writing(path, () => placeWithoutLinks(path, content)); // exFAT, some network disks
  } finally {
    rmSync(temporary, { force: true });
  }
}

function placeWithoutLinks(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Move the stale lock away; if another process replaced it meanwhile, put that one back. */
function replaceStale(path: string, stale: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return; // somebody else was faster
  }
  if (read(aside) !== stale) {
    try {
      linkSync(aside, path);
    } catch {
      // a third process has taken it
    }
  }
  rmSync(aside, { force: true });
}

function release(path: string, mine: string): void {
  if (read(path) === mine) rmSync(path, { force: true });
}

function inUse(path: string, { pid, host }: Owner, { what, next }: Required<LockWords>): ConfigError {
  const where = host === hostname() ? '' : ` on ${host}`;
  return new ConfigError(
    `${path}: ${what} is in use by process ${pid}${where}. Wait for it, stop it, or ${next}${where ? '; if that machine is gone, delete the file' : ''}.`,
  );
}

function isAlive(holder: Owner): boolean {
  const now = owner(holder.pid);
  if (holder.host !== now.host) return true; // another machine on a shared disk: cannot be looked into
  return holder.boot === now.boot && holder.start !== '' && holder.start === now.start;
}

function owner(pid: number): Owner {
  return { host: hostname(), boot: read('/proc/sys/kernel/random/boot_id')?.trim() ?? '', pid, start: startTime(pid) };
}

/** Whether there is a process of this number here. */
export function isRunning(pid: number): boolean {
  return startTime(pid) !== '';
}

/** When a process started, in the system's own unit; '' when there is no such process. */
function startTime(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which may hold spaces: count after it. Field 22 is the start.
  if (stat !== undefined) return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  if (process.platform === 'linux') return '';
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

function parse(content: string): Owner | undefined {
  try {
    const { host, boot, pid, start } = JSON.parse(content) as Partial<Owner>;
    return host !== undefined && boot !== undefined && pid !== undefined && start !== undefined
      ? { host, boot, pid, start }
      : undefined;
  } catch {
    return undefined; // torn by a power cut
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
