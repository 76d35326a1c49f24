// Names of things on the hub: `hf://owner/repo`, `hf://owner/repo/path`, `hf://owner/repo@revision/path`, or a bare `owner/repo`.
// Whatever becomes part of a path of the cache is judged here first: a name cannot lead out of it.

import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

export interface HubName {
  /** `owner/repo`. */
  repo: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** A file or a folder in the repository; '' for all of it. */
  path: string;
}

const REPO = /^[\w.-]{1,96}\/[\w.-]{1,96}$/;
const SCHEME = 'hf://';

/** Whether `text` says that it is a name on the hub. */
export function isHubName(text: string): boolean {
  return text.startsWith(SCHEME);
}

/** Whether `text` could be a bare `owner/repo`. */
export function isRepoName(text: string): boolean {
  return REPO.test(text) && !text.includes('..') && !text.startsWith('.');
}

/** Reads a name, with or without `hf://`. ConfigError when it cannot be one; `where` names the option. */
export function parseHubName(text: string, where: string): HubName {
  const [owner = '', repoAt = '', ...rest] = (isHubName(text) ? text.slice(SCHEME.length) : text).split('/');
  const [name = '', revision = 'main'] = repoAt.split('@');
  const hubName = { repo: `${owner}/${name}`, revision: decodeURIComponent(revision), path: rest.join('/') };
  const fits =
    isRepoName(hubName.repo) && isInside(hubName.revision) && (hubName.path === '' || isInside(hubName.path));
  if (fits) return hubName;
  throw new ConfigError(expected(where, "'hf://owner/repo', with '@revision' and '/path' where wanted", text));
}

/** The name as it is written. */
export function formatHubName({ repo, revision, path }: HubName): string {
  const at = revision === 'main' ? '' : `@${encodeURIComponent(revision)}`;
  return `${SCHEME}${repo}${at}${path === '' ? '' : `/${path}`}`;
}

/** Whether a relative path of a repository stays where it is joined to. */
export function isInside(path: string): boolean {
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && !/[\\\0]/.test(path);
}
