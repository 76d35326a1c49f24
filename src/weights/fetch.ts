// Files from the hub into its cache: asked for (size, checksum), resumed where a part is there, checked, and only then entered.
// Our own instead of @huggingface/hub's downloadFileToCacheDir (2.17), which begins an interrupted file anew, compares no checksum,
// writes no refs, and may send the token to another host (hub-request.ts). Listing a repository is the library's.

import { createHash } from 'node:crypto';
import { createReadStream, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubError } from '../util/errors.ts';
import { bytes } from '../util/format.ts';
import { takeLock } from '../util/lock.ts';
import { makeFolder } from '../util/storage.ts';
import { type HubSettings, linkBlob, repoFolder } from './hub-cache.ts';
import { formatHubName, type HubName, isInside } from './hub-name.ts';
import { hubFetch, request } from './hub-request.ts';

/** What the hub says of a file before it is fetched. */
export interface RemoteFile extends HubName {
  commit: string;
  /** The checksum by which the cache names the file: SHA-256 of large files, git's SHA-1 of small ones. */
  etag: string;
  size: number | undefined;
}

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  /** Bytes of the file that are here, as they come. */
  onProgress?: ((done: number) => void) | undefined;
  /** Fetch it again although it is in the cache. */
  force?: boolean | undefined;
}

export interface Fetched {
  /** The file in the cache. */
  path: string;
  /** Bytes that came over the network now. */
  received: number;
}

/** Tries in a row that bring nothing new. */
const FRUITLESS = 5;
/** A connection without a byte for so long is given up and made anew, ms. */
const STALL = 30_000;

/** Asks for commit, checksum and size of a file. HubError when it cannot be had. */
export async function describeFile(settings: HubSettings, name: HubName, signal?: AbortSignal): Promise<RemoteFile> {
  const what = formatHubName(name);
  online(settings, what);
  const url = fileUrl(settings, name, name.revision);
  const headers = { 'accept-encoding': 'identity' };
  const response = await request(settings, url, { method: 'HEAD', headers, what, leave: false, signal });
  const header = (key: string) => response.headers.get(key) ?? undefined;
  const commit = header('x-repo-commit') ?? '';
  const etag = (header('x-linked-etag') ?? header('etag') ?? '').replace(/^W\//, '').replaceAll('"', '');
  if (!/^[0-9a-f]{40}$/.test(commit) || !/^[\w-]{8,128}$/.test(etag)) {
    throw new HubError(
      `${what}: expected a commit and a checksum in the hub's answer, received none. Check HF_ENDPOINT.`,
    );
  }
  const size = Number(header('x-linked-size') ?? header('content-length') ?? Number.NaN);
  return { ...name, commit, etag, size: Number.isSafeInteger(size) && size >= 0 ? size : undefined };
}

/** All files below `name.path` with their sizes. */
export async function listRepository(
  settings: HubSettings,
  name: HubName,
  signal?: AbortSignal,
): Promise<{ path: string; size: number }[]> {
  const what = formatHubName(name);
  online(settings, what);
  const { repo, revision, path } = name;
  const listing = await request(
    settings,
    `${settings.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}`,
    { what, signal },
  );
  await listing.body?.cancel(); // asked first, with our sentences and retries; the library's pages follow
  const { listFiles } = await import('@huggingface/hub');
  const files: { path: string; size: number }[] = [];
  for await (const entry of listFiles({
    repo,
    revision,
    recursive: true,
    hubUrl: settings.endpoint,
    fetch: hubFetch(settings),
    ...(path !== '' && { path }),
  })) {
    if (entry.type !== 'file') continue;
    if (!isInside(entry.path))
      throw new HubError(`${what}: expected paths inside of the repository, received '${entry.path}'.`);
    files.push({ path: entry.path, size: entry.size });
  }
  return files;
}

/** Whether the file's bytes are in the cache, by name and size. */
export function isFetched(settings: HubSettings, { repo, etag, size }: RemoteFile): boolean {
  const there = sizeOf(join(repoFolder(settings, repo), 'blobs', etag));
  return there !== undefined && (size === undefined || there === size);
}

/** Brings a file into the cache, unless it is there. HubError names what went wrong; a part that arrived stays for the next try. */
export async function fetchFile(settings: HubSettings, file: RemoteFile, options: FetchOptions = {}): Promise<Fetched> {
  const folder = repoFolder(settings, file.repo);
  const blob = join(folder, 'blobs', file.etag);
  let received = 0;
  if (options.force || !isFetched(settings, file)) {
    makeFolder(dirname(blob));
    const lock = join(settings.cache, '.locks', basename(folder), `${file.etag}.rae-ts`);
    const release = takeLock(lock, { what: 'the download', next: 'come back later' });
    try {
      received = await transfer(settings, file, `${blob}.incomplete`, options);
      renameSync(`${blob}.incomplete`, blob);
    } finally {
      release();
    }
  }
  return { path: linkBlob(folder, file), received };
}

/** The checksum that a name of the cache stands for, of a file's bytes; undefined for names that are none. */
export async function checksum(path: string, etag: string, signal?: AbortSignal): Promise<string | undefined> {
  const hash = /^[0-9a-f]{64}$/.test(etag)
    ? createHash('sha256')
    : /^[0-9a-f]{40}$/.test(etag)
      ? createHash('sha1')
      : undefined;
  if (hash === undefined) return undefined;
  if (etag.length === 40) hash.update(`blob ${statSync(path).size}\0`); // git's name of a file
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Fills `incomplete` until it is the whole file, and checks it; returns the bytes received. */
async function transfer(
  settings: HubSettings,
  file: RemoteFile,
  incomplete: string,
  options: FetchOptions,
): Promise<number> {
  const what = formatHubName(file);
  let received = 0;
  for (let restarted = false; ; restarted = true) {
    const kept = sizeOf(incomplete) ?? 0;
    checkRoom(incomplete, file, kept);
    received += await fill(settings, file, incomplete, options);
    const [size, found] = [sizeOf(incomplete), await checksum(incomplete, file.etag, options.signal)];
    if ((file.size === undefined || size === file.size) && (found === undefined || found === file.etag))
      return received;
    rmSync(incomplete, { force: true });
    if (kept > 0 && !restarted) continue; // perhaps it was the part from before
    throw new HubError(
      `${what}: expected the checksum ${file.etag.slice(0, 12)}..., received ${found?.slice(0, 12) ?? `${size} bytes`}...: the file was removed. Run it again; if it happens twice, the hub or a proxy changes the file.`,
    );
  }
}

/** Requests what is missing until it is there, as often as that brings anything. */
async function fill(
  settings: HubSettings,
  file: RemoteFile,
  incomplete: string,
  options: FetchOptions,
): Promise<number> {
  let [received, fruitless, most] = [0, 0, sizeOf(incomplete) ?? 0];
  let broken: unknown;
  while (fruitless < FRUITLESS) {
    if (file.size !== undefined && (sizeOf(incomplete) ?? -1) >= file.size) return received;
    const count = (n: number) => {
      received += n;
    };
    broken = await append(settings, file, incomplete, options, count);
    const size = sizeOf(incomplete) ?? 0;
    if (broken === undefined && (file.size === undefined || size >= file.size)) return received;
    fruitless = size > most ? 0 : fruitless + 1;
    most = Math.max(most, size);
    await sleep(settings.retryMs * fruitless, undefined, { signal: options.signal });
  }
  const why = broken instanceof Error ? ` (${broken.message})` : '';
  throw new HubError(
    `${formatHubName(file)}: the connection broke off at ${bytes(most)}${file.size === undefined ? '' : ` of ${bytes(file.size)}`} again and again${why}. What arrived is kept; run it again to go on from there.`,
  );
}

/** One request for the rest of the file. Returns the error of a connection that broke; others are thrown. */
async function append(
  settings: HubSettings,
  file: RemoteFile,
  incomplete: string,
  { signal, onProgress }: FetchOptions,
  count: (n: number) => void,
): Promise<unknown> {
  const have = sizeOf(incomplete) ?? 0;
  const stalled = new AbortController();
  const both = signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal;
  const headers = { 'accept-encoding': 'identity', ...(have > 0 && { range: `bytes=${have}-` }) };
  const response = await request(settings, fileUrl(settings, file, file.commit), {
    headers,
    what: formatHubName(file),
    signal: both,
  });
  const resumes =
    response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${have}-`) === true;
  const handle = await open(incomplete, resumes ? 'a' : 'w'); // a whole answer begins anew
  let at = resumes ? have : 0;
  let timer = setTimeout(() => stalled.abort(), STALL);
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer);
      if (file.size !== undefined && at + chunk.length > file.size) {
        throw new HubError(`${formatHubName(file)}: expected ${file.size} bytes, received more. Run it again.`);
      }
      await handle.writeFile(chunk);
      at += chunk.length;
      count(chunk.length);
      onProgress?.(at);
      timer = setTimeout(() => stalled.abort(), STALL);
    }
    await handle.sync();
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw noRoom(incomplete, file, at, error);
    if (error instanceof HubError || signal?.aborted) throw error;
    return error;
  } finally {
    clearTimeout(timer);
    await handle.close();
  }
}

/** Refuses a download that cannot end well. */
function checkRoom(incomplete: string, { size = 0, ...file }: RemoteFile, kept: number): void {
  const { bavail, bsize } = statfsSync(dirname(incomplete));
  const [need, free] = [size - kept, bavail * bsize];
  if (need <= free) return;
  throw new HubError(
    `${formatHubName(file)}: expected ${bytes(need)} free in ${dirname(incomplete)}, received ${bytes(free)}. Make room, or set HF_HOME to another disk.`,
  );
}

function noRoom(incomplete: string, file: RemoteFile, at: number, cause: unknown): HubError {
  return new HubError(
    `${formatHubName(file)}: the disk of ${dirname(incomplete)} is full after ${bytes(at)}. What arrived is kept; make room and run it again, or set HF_HOME to another disk.`,
    { cause },
  );
}

function online({ offline }: HubSettings, what: string): void {
  if (!offline) return;
  throw new HubError(
    `${what}: expected it in the cache, as HF_HUB_OFFLINE is set; it is not there. Unset it to download.`,
  );
}

function fileUrl({ endpoint }: HubSettings, { repo, path }: HubName, revision: string): string {
  return `${endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
