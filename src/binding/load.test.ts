import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, it } from 'vitest';
import { EngineError } from '../util/errors.ts';
import { type EngineRecord, loadAddon, native, readEngineRecord } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-load-'));
afterAll(() => rmSync(folder, { recursive: true }));
const record: EngineRecord = {
  addon: '',
  libtorch: '/lib/torch',
  torchVersion: '2.13.0',
  how: 'x',
  compiler: '',
  flags: [],
};

it('loads the addon once', () => {
  expect(native()).toBe(native());
  expect(native().versions().libtorch).toMatch(/^2\.\d+/);
});

it('a missing record says how to build or name an engine', () => {
  const read = () => readEngineRecord(join(folder, 'none.json'));
  expect(read).toThrow(EngineError);
  expect(read).toThrow(/npm run build.*rae engine install.*LIBTORCH=/);
});

it('a record that is no JSON is named', () => {
  const file = join(folder, 'engine.json');
  writeFileSync(file, '{"addon":');
  expect(() => readEngineRecord(file)).toThrow(/expected JSON in .*engine\.json/);
});

it('an addon that was deleted from the cache is named', () => {
  expect(() => loadAddon({ ...record, addon: join(folder, 'gone.node') })).toThrow(/gone\.node, received no such file/);
});

it('an addon that does not load gives the reason and the libtorch it was built against', () => {
  const addon = join(folder, 'bad.node');
  writeFileSync(addon, 'not a library');
  expect(() => loadAddon({ ...record, addon })).toThrow(/torch 2\.13\.0 in \/lib\/torch, does not load: .*bad\.node/);
});

it('a worker thread is refused', async () => {
  const tsx = createRequire(import.meta.url)
    .resolve('tsx/esm/api')
    .replace(/cjs$/, 'mjs');
  const load = new URL('./load.ts', import.meta.url).href;
  const source = `
    const { parentPort } = require('node:worker_threads');
    (async () => {
      const { tsImport } = await import(${JSON.stringify(tsx)});
      const { native } = await tsImport(${JSON.stringify(load)}, ${JSON.stringify(load)});
      native();
    })().then(() => 'loaded', (error) => error.message).then((text) => parentPort.postMessage(text));`;
  const worker = new Worker(source, { eval: true });
  const message = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  expect(message).toMatch(/expected the process's main thread, received a worker thread/);
});

it.skipIf(process.platform !== 'linux')(
  'threads spin briefly unless the user says otherwise, and our default ends with the load',
  () => {
    const load = new URL('./load.ts', import.meta.url).href;
    const program = `const { native } = await import(${JSON.stringify(load)}); native(); console.log(process.env.GOMP_SPINCOUNT ?? 'unset');`;
    const spins = (env: NodeJS.ProcessEnv) => {
      const { GOMP_SPINCOUNT: _, OMP_WAIT_POLICY: __, ...rest } = process.env;
      const { stdout, stderr } = spawnSync(
        process.execPath,
        ['--import', 'tsx', '--input-type=module', '--eval', program],
        {
          encoding: 'utf8',
          env: { ...rest, OMP_DISPLAY_ENV: 'verbose', ...env },
        },
      );
      return [/GOMP_SPINCOUNT = '(\d+)'/.exec(stderr)?.[1], stdout.trim()];
    };
    expect(spins({})).toEqual(['30000', 'unset']);
    expect(spins({ OMP_WAIT_POLICY: 'passive' })).toEqual(['0', 'unset']);
  },
);
