import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { captureOutput, err, forgetOutput } from '../../test/capture.ts';
import { readEngineRecord } from '../binding/load.ts';
import { main } from './main.ts';
import { scriptsModule } from './scripts.ts';

const cache = mkdtempSync(join(tmpdir(), 'rae-engine-'));
vi.stubEnv('XDG_CACHE_HOME', cache);
vi.stubEnv('LIBTORCH', undefined);
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

captureOutput();

/** Runs `rae engine install ARGUMENTS`; returns the exit code and what it said. */
async function install(...args: string[]): Promise<[number, string]> {
  forgetOutput();
  const code = await main(['engine', 'install', ...args]);
  return [code, err];
}

it('a wheel or folder that is not there is refused in one sentence with the next step', async () => {
  const [code, said] = await install('--from', join(cache, 'nothing'));
  expect(code).toBe(1);
  expect(said).toMatch(
    /^rae: engine install: --from .*nothing: expected a torch-\*\.whl file or a folder\.\nNext step: /,
  );
});

it('a folder without libtorch is refused with what it lacks', async () => {
  const [code, said] = await install('--from', cache);
  expect(code).toBe(1);
  expect(said).toMatch(/holds no libtorch that can be used: it has no lib\/libtorch_cpu/);
});

it('a file that is no wheel is refused', async () => {
  const wheel = join(cache, 'torch-2.13.0-cp312-cp312-linux_x86_64.whl');
  writeFileSync(wheel, 'not a zip');
  const [code, said] = await install('--from', wheel);
  expect(code).toBe(1);
  expect(said).toMatch(/is no wheel that can be read/);
  rmSync(wheel);
});

it("a folder of one's own is linked into the cache and found there", async () => {
  const { installLibtorch } = await scriptsModule('install-libtorch');
  const { findLibtorch } = await scriptsModule('libtorch');
  const folder = await installLibtorch({ from: readEngineRecord().libtorch });
  const found = await findLibtorch();
  expect(found).toMatchObject({ folder, how: 'user cache' });
  expect(readdirSync(join(cache, 'rae-ts/libtorch'))).toHaveLength(1);
});
