// How long `rae` takes to start, by itself: its help, a verb's help, and the first picture of the embedded model. Beside it what cannot be
// helped, node that does nothing, and what every Python program of this kind begins with. Each a process of its own, in turns.
// Linux only (the processor time of children, from /proc).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../src/util/format.ts';
import { quantile } from './measure.ts';

const rae = fileURLToPath(new URL('../bin/rae.mjs', import.meta.url));
const TICKS = 100; // a second, of /proc's times

export interface StartRow {
  command: string;
  /** Median of wall and of processor time, seconds. */
  seconds: number;
  cpu: number;
}

interface StartOptions {
  python: string;
  threads: number;
  pairs: number;
  say: (line: string) => void;
}

export function benchStartup({ python, threads, pairs, say }: StartOptions): StartRow[] {
  const folder = mkdtempSync(join(tmpdir(), 'rae-bench-start-'));
  const picture = ['--model', 'embedded', '--num', '1', '--steps', '2', '--out', join(folder, 'one.png')];
  const commands: Record<string, [program: string, args: readonly string[]]> = {
    'node, nothing': [process.execPath, ['-e', '0']],
    'rae --help': [process.execPath, [rae, '--help']],
    'rae sample --help': [process.execPath, [rae, 'sample', '--help']],
    'rae sample, one picture': [process.execPath, [rae, 'sample', ...picture, '--restart']],
    'import torch': [python, ['-c', 'import torch']],
  };
  const samples = Object.keys(commands).map((command) => ({ command, seconds: [] as number[], cpu: [] as number[] }));
  try {
    for (let round = -1; round < pairs; round++)
      for (const { command, seconds, cpu } of samples) {
        const took = timed(...commands[command]!, threads);
        if (round < 0) continue; // files come into the page cache
        seconds.push(took.seconds);
        cpu.push(took.cpu);
        say(`  ${round + 1}/${pairs}  ${command}: ${took.seconds.toFixed(3)} s`);
      }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return samples.map(({ command, seconds, cpu }) => ({
    command,
    seconds: quantile(seconds, 0.5),
    cpu: quantile(cpu, 0.5),
  }));
}

function timed(program: string, args: readonly string[], threads: number): { seconds: number; cpu: number } {
  const [before, start] = [childrenTime(), performance.now()];
  const { status, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: String(threads), PYTHONDONTWRITEBYTECODE: '1' },
  });
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0)
    throw new Error(`bench startup: ${program} ${args.slice(0, 3).join(' ')} failed:\n${stderr.trim()}`);
  return { seconds, cpu: childrenTime() - before };
}

/** Processor seconds of the children that have ended. */
function childrenTime(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS;
}

/** The rows in fixed columns. */
export function startTable(rows: readonly StartRow[]): string {
  const cells = rows.map(({ command, seconds, cpu }) => [command, `${seconds.toFixed(3)} s`, `${cpu.toFixed(2)} s`]);
  return table([['start-up', 'time', 'CPU'], ...cells]);
}
