// A set of pictures that is being made survives kill -9: beside its target lies TARGET.part/ with what was asked for (request.json), the bytes
// made so far (spools), and how many pictures of them are safe (done). The same command goes on there, neither repeating nor losing a
// picture; another one is refused, so that nothing that took hours is thrown away by a slip.
//
// Order of a commit: the spools are flushed, then `done` is replaced as a whole. What lies behind `done` pictures is cut off.

import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { removeTemporaries, syncFolder, writeFileAtomic } from '../util/atomic-write.ts';
import { show } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { failpoint } from '../util/failpoint.ts';
import { takeLock } from '../util/lock.ts';
import { log } from '../util/log.ts';
import { Spool } from './spool.ts';

/** What determines the pictures, flat: two requests with equal values make the same ones. */
export type SampleRequest = Readonly<Record<string, string | number | boolean | null>>;

export interface LedgerOptions {
  /** What was given as the target, for messages: '--npz'. */
  flag: string;
  request: SampleRequest;
  /** Facts whose change alters last bits at most: a difference is a warning. */
  engine: SampleRequest;
  /** Throw away what another request left. */
  restart?: boolean | undefined;
}

export class Ledger {
  readonly #folder: string;
  readonly #spools: Spool[] = [];
  readonly #release: () => void;
  #done = 0;

  /** Opens TARGET.part, or makes it. ConfigError when it belongs to another request, or another process works in it. */
  constructor(target: string, { flag, request, engine, restart = false }: LedgerOptions) {
    this.#folder = `${resolve(target)}.part`;
    this.#release = takeLock(join(this.#folder, 'lock'));
    try {
      removeLeftovers(resolve(target));
      removeTemporaries(this.#folder);
      const file = join(this.#folder, 'request.json');
      const left = restart ? undefined : read(file);
      if (left === undefined) {
        rmSync(join(this.#folder, 'done'), { force: true });
        writeFileAtomic(file, JSON.stringify({ ...request, engine }));
        return;
      }
      const { engine: oldEngine = {}, ...old } = left;
      this.#done = Number(readIfThere(join(this.#folder, 'done')) ?? 0);
      const changed = differences(old as SampleRequest, request);
      if (changed.length > 0) {
        throw new ConfigError(
          `${flag}: expected what '${target}.part' was begun with (${this.#done} pictures made), received ${changed.join(', ')}. ` +
            'Give the same options to go on, --restart to begin anew, or another name.',
        );
      }
      const other = differences(oldEngine as SampleRequest, engine);
      if (other.length > 0)
        log.warn(`${target}.part was begun with another ${other.join(', ')}: last bits may differ.`);
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  /** Pictures that are safe. */
  get done(): number {
    return this.#done;
  }

  /** Bytes of every picture, `each` of one, cut to those that are safe; closed with the ledger. */
  spool(name: string, each: number): Spool {
    const spool = new Spool(join(this.#folder, name), { goOn: this.#done * each });
    this.#spools.push(spool);
    return spool;
  }

  /** From now on `done` pictures are safe. */
  commit(done: number): void {
    failpoint('ledger-before-commit');
    for (const spool of this.#spools) spool.sync();
    writeFileAtomic(join(this.#folder, 'done'), String(done));
    this.#done = done;
    failpoint('ledger-after-commit');
  }

  /** Removes the folder: the target is whole. It loses its name first, so that a kill in between leaves no half of it. */
  finish(): void {
    failpoint('ledger-before-finish');
    const aside = join(dirname(this.#folder), `.${basename(this.#folder)}.${process.pid}.tmp`);
    renameSync(this.#folder, aside);
    syncFolder(dirname(aside));
    this.close();
    failpoint('ledger-mid-finish');
    rmSync(aside, { recursive: true, force: true });
  }

  /** Leaves everything for the next time. */
  close(): void {
    for (const spool of this.#spools.splice(0)) spool.dispose();
    this.#release();
  }
}

/** What a killed process left half-written beside the target: of the target itself and of its folder. */
function removeLeftovers(target: string): void {
  const [folder, name] = [dirname(target), basename(target)];
  for (const entry of readdirSync(folder)) {
    const [, of] = /^\.(.*?)(?:\.part)?\.\d+\.tmp$/.exec(entry) ?? [];
    if (of === name) rmSync(join(folder, entry), { recursive: true, force: true });
  }
}

/** 'seed 1 instead of 0', for each value that differs. */
function differences(old: SampleRequest, now: SampleRequest): string[] {
  const keys = new Set([...Object.keys(old), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    old[key] === now[key] ? [] : [`${key} ${show(now[key])} instead of ${show(old[key])}`],
  );
}

function read(file: string): Record<string, unknown> | undefined {
  const text = readIfThere(file);
  return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

function readIfThere(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
