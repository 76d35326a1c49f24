// Where things lie: the clone, and the one folder outside it that rae-ts writes, the user cache.
import { homedir, tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package root (the clone, or the installed package). */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** `${XDG_CACHE_HOME:-~/.cache}/rae-ts`; an empty or relative XDG_CACHE_HOME counts as unset, as its specification says. */
export function cacheFolder(env = process.env) {
  const xdg = env.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, 'rae-ts');
  return join(env.HOME || homedir() || join(tmpdir(), `home-${userInfo().uid}`), '.cache', 'rae-ts');
}

/** The record of the engine in use: which addon, which libtorch. src/binding/load.ts reads it. */
export const engineFile = join(root, 'build', 'engine.json');
