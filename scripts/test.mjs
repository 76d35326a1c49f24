// The tests: lint, types, then vitest; the last line is `N passed, N failed` alone (lint and types count one each).
// `node scripts/test.mjs FILTER...` runs only the test files whose path contains a FILTER, without lint and types.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './lib/paths.mjs';

const filters = process.argv.slice(2);
const report = join(root, 'build', 'vitest.json');
let passed = 0;
let failed = 0;

if (filters.length === 0) {
  // Biome makes a cache folder, empty; here rather than in the user's home.
  const env = { ...process.env, XDG_CACHE_HOME: join(root, 'build') };
  count('lint', await node('@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.'], env));
  count('types', await node('typescript/bin/tsc', ['--noEmit']));
}
mkdirSync(join(root, 'build'), { recursive: true });
rmSync(report, { force: true });
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const code = await node('vitest/vitest.mjs', ['run', ...reporters, ...filters]);
countTests(code);

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

function count(name, code) {
  console.log(`${name}: ${code === 0 ? 'passed' : 'failed'}`);
  if (code === 0) passed++;
  else failed++;
}

/** Tests by vitest's own report; a file that broke before its tests could run counts as one failure, as does a run without report. */
function countTests(code) {
  const before = failed;
  if (existsSync(report)) {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    const broken = testResults.filter((file) => file.status === 'failed' && !file.assertionResults.some(isFailed));
    passed += numPassedTests;
    failed += numFailedTests + broken.length;
  }
  if (code !== 0 && failed === before) failed++;
}

function isFailed(test) {
  return test.status === 'failed';
}

/** Runs a package's program in the clone with its output shown; resolves to its exit code. */
function node(program, args, env = process.env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'node_modules', program), ...args], {
      cwd: root,
      env,
      stdio: 'inherit',
    });
    child.on('error', () => resolve(1));
    child.on('close', (exitCode) => resolve(exitCode ?? 1));
  });
}
