// npm run fuzz -- [--minutes N] [--parser NAME[,NAME]] [--inputs N] [--seed S]: damaged files for every parser (test/fuzz/parsers.ts), each
// in a process of its own, until it had --inputs of them or its share of --minutes is over. Fails when one ends otherwise than with a value
// or an error of ours, computes for more than a second, or takes memory that the file does not explain; the input is kept.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Figures } from '../test/fuzz/fuzz.ts';
import { parsers } from '../test/fuzz/parsers.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    parser: { type: 'string', default: parsers.map(({ name }) => name).join(',') },
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '0' },
  },
});
const names = values.parser.split(',');
const unknown = names.find((name) => !parsers.some((parser) => parser.name === name));
if (unknown !== undefined)
  fail(`expected --parser to name some of ${parsers.map(({ name }) => name).join(', ')}, received ${unknown}`);
const [minutes, inputs, seed] = [values.minutes, values.inputs, values.seed].map(Number) as [number, number, number];
if (!(minutes > 0) || !Number.isInteger(inputs) || inputs < 1 || !Number.isInteger(seed))
  fail(
    `expected numbers for --minutes, --inputs and --seed, received ${values.minutes}, ${values.inputs}, ${values.seed}`,
  );

// Without a block of inputs for so long one of them hangs: seconds of computing, for the machine may be busy, or of waiting for nothing.
const [SILENT_COMPUTING, SILENT_WAITING] = [60, 900];
const LOOK_MS = 2000;
const folder = mkdtempSync(join(tmpdir(), 'rae-fuzz-'));
let failed = 0;
for (const [i, name] of names.entries()) {
  const left = Math.max(1, 60 * minutes - process.uptime());
  const path = join(folder, `${name}-${seed}`);
  const { figures, complaint } = await run(name, { seconds: left / (names.length - i), path });
  const { inputs, accepted, slowestMs, largestRise } = figures;
  const share = inputs > 0 ? Math.round((100 * accepted) / inputs) : 0;
  const measured = `${inputs} inputs, ${share} % read, slowest ${Math.round(slowestMs)} ms, memory rose by at most ${Math.ceil(largestRise / 2 ** 20)} MiB`;
  console.log(`${name.padEnd(14)} ${measured}`);
  if (complaint === undefined) continue;
  failed++;
  console.error(
    `${name.padEnd(14)} FAILED: ${complaint}\n${''.padEnd(14)} ${existsSync(path) ? path : 'before the first input'}`,
  );
}
if (failed === 0) rmSync(folder, { recursive: true, force: true });
console.log(`${names.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function fail(what: string): never {
  console.error(`fuzz: ${what}.`);
  process.exit(2);
}

/** Seconds of processor time of a process; undefined where the system does not say. */
function computedBy(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100; // utime and stime, in ticks of a hundredth
  } catch {
    return undefined;
  }
}

/** One parser to its end. */
async function run(name: string, { seconds, path }: { seconds: number; path: string }) {
  const worker = join(import.meta.dirname, '..', 'test', 'fuzz', 'worker.ts');
  const options = [
    '--max-old-space-size=256',
    '--import',
    'tsx',
    worker,
    name,
    String(inputs),
    String(seconds),
    String(seed),
    path,
  ];
  const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'pipe'] });
  let figures: Figures = { inputs: 0, accepted: 0, slowestMs: 0, largestRise: 0 };
  let [hangs, err] = [false, ''];
  let heard = { computed: 0, at: process.uptime() };
  const watch = setInterval(() => {
    const silent = process.uptime() - heard.at;
    const computed = computedBy(child.pid);
    hangs = silent > SILENT_WAITING || (computed ?? silent) - heard.computed > SILENT_COMPUTING;
    if (hangs) child.kill('SIGKILL');
  }, LOOK_MS);
  createInterface(child.stdout).on('line', (line) => {
    heard = { computed: computedBy(child.pid) ?? 0, at: process.uptime() };
    figures = JSON.parse(line) as Figures;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) =>
    child.on('close', (...ending) => done(ending)),
  );
  clearInterval(watch);
  const complaint = hangs
    ? 'an input hangs'
    : signal
      ? `an input ends the process by ${signal}`
      : code === 0
        ? undefined
        : err.trim();
  return { figures, complaint };
}
