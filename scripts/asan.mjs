// npm run test:asan -- [TIMES] [SEED]: builds test/asan/main.cc and the native code that it tries with AddressSanitizer and
// UndefinedBehaviorSanitizer, and runs it. Fails on the first byte out of bounds. Needs a compiler with both (g++, clang++).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCompiler } from './lib/addon.mjs';
import { root } from './lib/paths.mjs';

const folder = mkdtempSync(join(tmpdir(), 'rae-asan-'));
const program = join(folder, 'main');
const sources = ['test/asan/main.cc', 'native/mapped_file.cc', 'native/resample_kernel.cc'].map((file) =>
  join(root, file),
);
const flags = ['-std=c++20', '-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-pthread'];
const compiler = await findCompiler();
// The sanitizer must not take SIGBUS: the handler under test does.
const env = { ...process.env, ASAN_OPTIONS: 'handle_sigbus=0:detect_leaks=0' };
const steps = [
  [compiler.program, [...flags, ...sources, '-o', program]],
  [program, process.argv.slice(2)],
];
const failed = steps.some(([command, options]) => spawnSync(command, options, { stdio: 'inherit', env }).status !== 0);
rmSync(folder, { recursive: true });
process.exitCode = failed ? 1 : 0;
