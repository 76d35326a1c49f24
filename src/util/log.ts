// What a person sees while something runs: lines and one live line on standard error, so that standard output stays for
// results. A terminal gets the live line rewritten in place; a pipe gets plain lines, few of them.

export interface LogStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

export interface LogOptions {
  stream?: LogStream;
  /** Least seconds between two live lines where there is no terminal. */
  everySeconds?: number;
  now?: () => number;
}

/** Colours only on a terminal, and not with NO_COLOR (no-color.org). */
export function useColor(stream: LogStream = process.stderr, env = process.env): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

export class Log {
  readonly #stream: LogStream;
  readonly #everyMs: number;
  readonly #now: () => number;
  #live = false;
  #lastLive = Number.NEGATIVE_INFINITY;
  quiet = false;

  constructor({ stream = process.stderr, everySeconds = 10, now = Date.now }: LogOptions = {}) {
    this.#stream = stream;
    this.#everyMs = everySeconds * 1000;
    this.#now = now;
  }

  /** A line that stays. */
  info(text: string): void {
    if (this.quiet) return;
    this.#clear();
    this.#stream.write(`${text}\n`);
  }

  /** A line that stays, also when quiet. */
  warn(text: string): void {
    this.#clear();
    this.#stream.write(useColor(this.#stream) ? `\x1b[33mwarning:\x1b[0m ${text}\n` : `warning: ${text}\n`);
  }

  /** The live line: replaced by the next one. Without a terminal it is printed at most every `everySeconds`. */
  live(text: string): void {
    if (this.quiet) return;
    if (this.#stream.isTTY) {
      const width = (this.#stream.columns ?? 80) - 1;
      this.#stream.write(`\r\x1b[2K${text.length > width ? `${text.slice(0, width - 1)}…` : text}`);
      this.#live = true;
    } else if (this.#now() - this.#lastLive >= this.#everyMs) {
      this.#lastLive = this.#now();
      this.#stream.write(`${text}\n`);
    }
  }

  /** Ends the live line: it is wiped, or replaced by `text`, which stays. The next live() prints at once. */
  done(text?: string): void {
    this.#clear();
    this.#lastLive = Number.NEGATIVE_INFINITY;
    if (text !== undefined) this.info(text);
  }

  #clear(): void {
    if (this.#live) this.#stream.write('\r\x1b[2K');
    this.#live = false;
  }
}

/** The process's own log; the command line sets `quiet`. */
export const log = new Log();
