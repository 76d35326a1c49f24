// Every example is run as its reader would run it: npx tsx examples/NAME.ts. Those of the shipped model wait until assets/ holds it.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it, type TestContext } from 'vitest';
import { decodeImage } from '../src/io/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsx = createRequire(import.meta.url).resolve('tsx/cli');
const folder = mkdtempSync(join(tmpdir(), 'rae-examples-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What the example prints. */
async function run(name: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [tsx, join('examples', name), ...args], { cwd: root });
  return stdout;
}

function needsShippedModel({ skip }: TestContext): void {
  skip(
    !existsSync(join(root, 'assets', 'config.yaml')),
    'assets/config.yaml is missing: there is no shipped model yet',
  );
}

it('01-tensors finds the line and leaves only what it named alive', async () => {
  const said = await run('01-tensors.ts');
  const [slope, intercept] = /tensor\(\[([\d.]+), ([\d.]+)\]/.exec(said)!.slice(1).map(Number) as [number, number];
  expect(Math.abs(slope - 3)).toBeLessThan(0.05);
  expect(Math.abs(intercept - 1)).toBeLessThan(0.05);
  expect(said).toContain('4 tensors are alive');
});

it('the README shows 01-tensors as it is', () => {
  const code = readFileSync(join(root, 'examples', '01-tensors.ts'), 'utf8');
  expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(code.slice(code.indexOf('import ')));
});

it('02-reconstruct draws eight pictures above their reconstructions', async (context) => {
  needsShippedModel(context);
  const out = join(folder, 'reconstruct.png');
  const said = await run('02-reconstruct.ts', 'embedded', 'embedded', out);
  const decibels = /PSNR ([\d. ]+) dB/.exec(said)![1]!.split(' ').map(Number);
  expect(decibels).toHaveLength(8);
  expect(Math.min(...decibels)).toBeGreaterThan(12); // a grey picture has about 10
  const { width, height } = await decodeImage(out);
  expect([width, height]).toEqual([8 * 34 + 2, 2 * 34 + 2]); // 32 pixels and two between
});

it('03-sample draws two pictures of each of the ten classes', async (context) => {
  needsShippedModel(context);
  const out = join(folder, 'sample.png');
  expect(await run('03-sample.ts', 'embedded', out)).toMatch(/^20 pictures, \d+ evaluations/);
  const { width, height } = await decodeImage(out);
  expect([width, height]).toEqual([10 * 34 + 2, 2 * 34 + 2]);
});

it('every example is run here', () => {
  const here = readFileSync(fileURLToPath(import.meta.url), 'utf8');
  for (const name of readdirSync(join(root, 'examples'))) expect(here).toContain(`'${name}'`);
});
