// The one folder outside a run that rae-ts writes. The same rule as scripts/lib/paths.mjs, which must work before TypeScript does.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** `${XDG_CACHE_HOME:-~/.cache}/rae-ts`; an empty or relative XDG_CACHE_HOME counts as unset, as its specification says. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const xdg = env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(env.HOME || homedir(), '.cache'), 'rae-ts');
}
