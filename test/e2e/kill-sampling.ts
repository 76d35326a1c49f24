// Kills `rae sample` at seeded moments — between pictures, inside a write, while it finishes — gives the same command again, and compares npz and
// PNGs with those that nobody disturbed. Used by kill.test.ts (one point) and by `npm run test:kill` (many).

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Draws } from '../../src/data/random.ts';
import { child, type Disturbance } from './kill.ts';

/** Places inside a write (src/util/failpoint.ts); the number is the visit that kills. */
const FAILPOINTS = [
  ...['spool-mid-write@1', 'spool-mid-write@2', 'ledger-before-commit@1', 'ledger-before-commit@2'],
  ...['ledger-after-commit@1', 'ledger-after-commit@2', 'ledger-before-finish', 'ledger-mid-finish'],
  ...['atomic-write:middle@1', 'atomic-write:middle@20', 'atomic-write:middle@60', 'atomic-write:before-rename@45'],
];
const NUM = 66;

/** The small set, in portions of which the last is not whole. */
function sample(out: string, batch: number): string[] {
  const set = ['--num', String(NUM), '--labels', 'equal', '--steps', '4', '--batch', String(batch), '--threads', '1'];
  return ['sample', '--model', 'embedded', ...set, '--npz', `${out}.npz`, '--out', out];
}

export interface UndisturbedSamples {
  folder: string;
  made: Record<string, string>;
  seconds: number;
}

/** The set to compare with. */
export async function undisturbedSamples(folder: string): Promise<UndisturbedSamples> {
  const out = join(folder, 'samples');
  const { code, seconds, errors } = await child(sample(out, 32));
  if (code !== 0) throw new Error(`sample: expected exit code 0, received ${code}: ${errors}`);
  return { folder, made: outcome(out), seconds };
}

/** Disturbs one set until it is done; throws when it ends with other bytes or leaves something behind. Says what it did. */
export async function killSampling(
  base: UndisturbedSamples,
  { seed, number }: { seed: number; number: number },
): Promise<string> {
  const draws = new Draws(seed, number, 1);
  const name = `samples-killed-${number}`;
  const out = join(base.folder, name);
  const did: string[] = [];
  const fail = (what: string) => new Error(`sample ${number} (${did.join(', ')}): ${what}`);
  for (let attempt = 0; ; attempt++) {
    const disturbance = attempt < 3 ? draw(draws, base.seconds * 1000) : {};
    const { code, signal, errors } = await child(sample(out, draws.chance(0.5) ? 1 : 32), disturbance);
    did.push(disturbance.failpoint ?? (disturbance.signal ? `${disturbance.signal}` : 'undisturbed'));
    if (code === 0) break;
    if (signal === null && code !== 130 && code !== 143)
      throw fail(`expected it to go on, received exit code ${code}: ${errors}`);
  }
  const got = outcome(out);
  const names = Object.keys(base.made);
  if (Object.keys(got).join() !== names.join())
    throw fail(`expected ${names.length} files, received ${Object.keys(got)}`);
  for (const file of names) if (got[file] !== base.made[file]) throw fail(`'${file}' differs from the undisturbed set`);
  const left = readdirSync(base.folder).filter(
    (entry) => entry.includes(name) && entry !== name && entry !== `${name}.npz`,
  );
  if (left.length > 0) throw fail(`left behind: ${left.join(', ')}`);
  return `sample ${number}: ${did.join(', ')}`;
}

function outcome(out: string): Record<string, string> {
  const files = readdirSync(out).sort();
  const read = (path: string) => readFileSync(path).toString('base64');
  return { npz: read(`${out}.npz`), ...Object.fromEntries(files.map((name) => [name, read(join(out, name))])) };
}

function draw(draws: Draws, duration: number): Disturbance {
  if (draws.chance(0.5)) return { failpoint: FAILPOINTS[draws.below(FAILPOINTS.length)] };
  return { signal: draws.chance(0.7) ? 'SIGKILL' : 'SIGINT', afterMs: draws.between(0, duration) };
}
