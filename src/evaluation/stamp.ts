// What tells that a file is still the one it was, without reading it.

import { statSync } from 'node:fs';

/** Size and time of a file; nothing where there is none. */
export function stamp(path: string): number[] {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? [] : [found.size, found.mtimeMs];
}
