// The hub's cache as huggingface_hub lays it out, so that both share it: models--OWNER--REPO/ with
//   blobs/ETAG                the bytes, named by their checksum; ETAG.incomplete while they arrive
//   snapshots/COMMIT/path     a link to the blob
//   refs/REVISION             the commit that a branch or a tag stood at when it was last asked for
// and its settings from huggingface_hub's environment variables.

import { existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { makeFolder } from '../util/storage.ts';
import type { HubName } from './hub-name.ts';

export interface HubSettings {
  /** Where the hub answers: HF_ENDPOINT. */
  endpoint: string;
  /** The folder of all repositories: HF_HUB_CACHE, or hub/ in HF_HOME. */
  cache: string;
  /** HF_TOKEN, or what `hf auth login` left in HF_HOME. */
  token: string | undefined;
  /** HF_HUB_OFFLINE: only what is in the cache. */
  offline: boolean;
  /** First wait before something is tried again, in ms; it doubles. */
  retryMs: number;
}

const COMMIT = /^[0-9a-f]{40}$/;

/** The settings that the environment asks for. */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const caches = untilde(env.XDG_CACHE_HOME || join(homedir(), '.cache'));
  const home = untilde(env.HF_HOME || join(caches, 'huggingface'));
  const tokenFile = untilde(env.HF_TOKEN_PATH || join(home, 'token'));
  const isSet = (value: string | undefined) => /^(1|true|yes|on)$/i.test(value ?? '');
  const login = () => (existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8') : undefined);
  const token = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || (isSet(env.HF_HUB_DISABLE_IMPLICIT_TOKEN) ? '' : login());
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    cache: resolve(untilde(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub'))),
    token: token?.trim() || undefined,
    offline: isSet(env.HF_HUB_OFFLINE) || isSet(env.TRANSFORMERS_OFFLINE),
    retryMs: 1000,
  };
}

/** The folder of a repository in the cache. */
export function repoFolder({ cache }: Pick<HubSettings, 'cache'>, repo: string): string {
  return join(cache, `models--${repo.replace('/', '--')}`);
}

/** The folder of the snapshot that a name stands for, or undefined where its revision was never fetched. */
export function snapshotOf(
  settings: Pick<HubSettings, 'cache'>,
  { repo, revision }: Omit<HubName, 'path'>,
): string | undefined {
  const folder = repoFolder(settings, repo);
  const ref = join(folder, 'refs', revision);
  const commit = COMMIT.test(revision) ? revision : existsSync(ref) ? readFileSync(ref, 'utf8').trim() : '';
  const snapshot = join(folder, 'snapshots', commit);
  return COMMIT.test(commit) && existsSync(snapshot) ? snapshot : undefined;
}

/** Where a name lies in the cache: a file, a folder, or undefined. */
export function cachedPath(settings: Pick<HubSettings, 'cache'>, name: HubName): string | undefined {
  const snapshot = snapshotOf(settings, name);
  if (snapshot === undefined) return undefined;
  const path = join(snapshot, name.path);
  return existsSync(path) ? path : undefined; // a link to a blob that is gone does not count
}

/** Enters a blob as the file `path` of a commit, and the commit as what `revision` stands for; returns the file. */
export function linkBlob(
  folder: string,
  { etag, commit, path, revision }: { etag: string; commit: string; path: string; revision: string },
): string {
  const link = join(folder, 'snapshots', commit, path);
  makeFolder(dirname(link));
  const temporary = `${link}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  symlinkSync(relative(dirname(link), join(folder, 'blobs', etag)), temporary);
  renameSync(temporary, link);
  if (revision !== commit) setRef(join(folder, 'refs', revision), commit);
  return link;
}

/** Torn by a power cut it names no commit, and the file is asked for again. */
function setRef(path: string, commit: string): void {
  if (existsSync(path) && readFileSync(path, 'utf8') === commit) return;
  makeFolder(dirname(path));
  writeFileSync(`${path}.${process.pid}.tmp`, commit);
  renameSync(`${path}.${process.pid}.tmp`, path);
}

function untilde(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}
