// What every verb has in common: --json and --debug, numbers judged in one mould of sentence, results on standard output,
// errors of one or two lines, and exit codes (0 done, 1 failed, 2 bad usage or configuration, 130 and 143 interrupted).
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { expected } from '../util/check.ts';
import { ConfigError, InterruptedError, RaeError } from '../util/errors.ts';

export interface VerbOptions {
  json?: boolean;
  debug?: boolean;
}

/** A verb, `rae NAME`, with the options that all verbs have and an example under its help. */
export function verb(name: string, description: string, example: string): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'print one machine-readable result on standard output')
    .option('--debug', 'show stack traces')
    .addHelpText('after', `\nExample:\n  ${example.split('\n').join('\n  ')}`);
}

interface Range<T> {
  min?: number;
  max?: number;
  default?: T;
}

/** An option that takes a whole number: `integerOption('--steps <n>', 'stop at this step', { min: 1 })`. */
export function integerOption(flags: string, description: string, range: Range<number> = {}): Option {
  return numeric(flags, description, range, true);
}

/** An option that takes a number. */
export function numberOption(flags: string, description: string, range: Range<number> = {}): Option {
  return numeric(flags, description, range, false);
}

/** An option that may be given several times; its values are collected in a list: `--set a.b=1 --set c=2`. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, list: string[] | undefined) => [
    ...(list ?? []),
    value,
  ]);
}

/** The number that `text` spells, within the range. Throws ConfigError (exit code 2) naming `where`. */
export function parseNumber(where: string, text: string, { min, max }: Range<number>, whole: boolean): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const fits = whole ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (fits && value >= (min ?? Number.NEGATIVE_INFINITY) && value <= (max ?? Number.POSITIVE_INFINITY)) return value;
  const kind = whole ? 'a whole number' : 'a number';
  const bounds =
    min !== undefined && max !== undefined
      ? ` from ${min} to ${max}`
      : min !== undefined
        ? ` of at least ${min}`
        : max !== undefined
          ? ` of at most ${max}`
          : '';
  throw new ConfigError(expected(where, kind + bounds, text));
}

function numeric(flags: string, description: string, range: Range<number>, whole: boolean): Option {
  const option = new Option(flags, description);
  const where = option.long ?? flags;
  option.argParser((text: string) => parseNumber(where, text, range, whole));
  return range.default === undefined ? option : option.default(range.default);
}

/** The result of a verb: one JSON document with --json, else the text. */
export function printResult(options: VerbOptions, value: unknown, text: string): void {
  process.stdout.write(options.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
}

/** Prints an error as its user should meet it and returns the exit code. */
export function reportError(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0; // help or version was shown
    if (error.code === 'commander.help') return 2; // help was shown because a verb of two words came with one
    process.stderr.write(`rae: ${error.message.replace(/^error: /, '').replaceAll('\n', ' ')}\n`);
    return 2;
  }
  const text = describe(error, debug);
  process.stderr.write(text.startsWith('rae ') ? `${text}\n` : `rae: ${text}\n`); // a sentence may begin with the verb
  if (error instanceof InterruptedError) return error.exitCode;
  return error instanceof ConfigError ? 2 : 1;
}

function describe(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (debug) return error.stack ?? error.message;
  // Our own errors and the system's (ENOENT, EACCES, ...) say what to do; anything else is a mistake in rae itself.
  if (error instanceof RaeError || 'code' in error) return error.message;
  return `${error.name}: ${error.message}\nThis is a mistake in rae itself; --debug shows where.`;
}

/** The package's version. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
