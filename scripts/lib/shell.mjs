// Running programs, and the error that every step of the set-up throws: what was tried, and what mends it.
import { execFile } from 'node:child_process';

/** `message` is one line, `tried` what was attempted (may span lines), `mend` the command or change that helps. */
export class SetupError extends Error {
  constructor(message, { tried = [], mend = [] } = {}) {
    super(message);
    this.name = 'SetupError';
    this.tried = [tried].flat().filter(Boolean);
    this.mend = [mend].flat().filter(Boolean);
  }
}

/** Runs a program to its end; never throws. `code` is null and `missing` true when there is no such program. */
export function run(program, args, options = {}) {
  return new Promise((resolve) => {
    execFile(program, args, { maxBuffer: 256 << 20, ...options }, (error, stdout, stderr) => {
      const missing = error?.code === 'ENOENT';
      const code = error ? (typeof error.code === 'number' ? error.code : null) : 0;
      resolve({
        ok: !error,
        code,
        missing,
        signal: error?.signal ?? null,
        stdout: String(stdout),
        stderr: String(stderr),
      });
    });
  });
}

/** The last `count` non-empty lines of a program's output. */
export function tail(text, count = 8) {
  return text
    .split('\n')
    .filter((line) => line.trim())
    .slice(-count);
}

/** Names a file-system error in the words of someone who can do something about it; other errors pass unchanged. */
export function explainFileError(error, what, folder) {
  const tried = `${what}: ${error.message}`;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new SetupError(`no space left on the disk that holds ${folder}`, {
      tried,
      mend: ['free some space, or use another disk: XDG_CACHE_HOME=/another/disk npm run build'],
    });
  }
  if (['EACCES', 'EROFS', 'EPERM', 'ENOTDIR', 'EEXIST'].includes(error.code)) {
    return new SetupError(`cannot write to ${folder}`, {
      tried,
      mend: ['make it writable, or use another folder: XDG_CACHE_HOME=/another/folder npm run build'],
    });
  }
  return error;
}
