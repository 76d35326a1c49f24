// The python whose PyTorch reads what we write and writes what we read: RAE_BENCH_PYTHON, the bench's own environment, or python3.
// Tests that need one skip where there is none, and say so.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { scriptsModule } from '../src/cli/scripts.ts';

const { cacheFolder } = await scriptsModule('paths');

let found: string | undefined | null = null;

/** Path of a python with torch, looked for once; the running test skips where there is none. */
export function requirePython(context: TestContext): string {
  if (found === null) found = candidates().find(hasTorch);
  if (found !== undefined) return found;
  return context.skip('needs a python with torch: set RAE_BENCH_PYTHON, or run `npm run bench` once');
}

/** Runs a program in that python with `args` as sys.argv[1:]; gives what it prints, as JSON. */
export function runPython<T>(python: string, program: string, args: readonly string[]): T {
  const env = { ...process.env, OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1' };
  const { status, stdout, stderr } = spawnSync(python, ['-c', program, ...args], { encoding: 'utf8', env });
  if (status !== 0) throw new Error(`python failed:\n${stderr}`);
  return JSON.parse(stdout) as T;
}

function candidates(): string[] {
  const named = process.env.RAE_BENCH_PYTHON;
  const own = join(cacheFolder(), 'bench', 'torch-2.13.0', 'bin', 'python'); // made by bench/python.ts
  return [...(named ? [named] : []), ...(existsSync(own) ? [own] : []), 'python3'];
}

function hasTorch(python: string): boolean {
  const asked = 'import importlib.util, sys; sys.exit(0 if importlib.util.find_spec("torch") else 1)';
  return spawnSync(python, ['-c', asked]).status === 0;
}
