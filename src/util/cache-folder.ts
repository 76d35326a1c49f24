// The one folder outside a run that rae-ts writes. The same rule as scripts/lib/paths.mjs, which must work before TypeScript does.
import { realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { sha256 } from './digest.ts';

/** `${XDG_CACHE_HOME:-~/.cache}/rae-ts`; an empty or relative XDG_CACHE_HOME counts as unset, as its specification says. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const xdg = env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(env.HOME || homedir(), '.cache'), 'rae-ts');
}

/** Where the cache keeps what is made of `file` as it is now: another path, size or time of change is another place. */
export function cachedPath(kind: string, file: string): string {
  const { size, mtimeMs } = statSync(file);
  return join(cacheFolder(), kind, sha256([`1 ${realpathSync(file)} ${size} ${mtimeMs}`]).slice(0, 24));
}
