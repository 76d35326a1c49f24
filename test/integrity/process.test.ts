// What could go wrong at the edges of the process: worker threads, exits with work under way, uncaught errors, signals.
import { expect, it } from 'vitest';
import { inChild, start } from './child.ts';

it('the addon loads in no worker thread, whoever tries, and the process lives on', async () => {
  const { code, out } = await inChild(`
    import { Worker } from 'node:worker_threads';
    import { readEngineRecord } from ${JSON.stringify(new URL('../../src/binding/load.ts', import.meta.url).href)};
    const path = JSON.stringify(readEngineRecord().addon);
    const source = "const { parentPort } = require('node:worker_threads');" +
      "try { process.dlopen({ exports: {} }, " + path + "); parentPort.postMessage('loaded'); }" +
      "catch (e) { parentPort.postMessage(e.code + ' ' + e.message); }";
    for (let i = 0; i < 2; i++) {
      const worker = new Worker(source, { eval: true, execArgv: [] });
      say(await new Promise((r) => worker.on('message', r)));
      await worker.terminate();
    }
    say(t.ones([2]).add(1).sum().item());
  `);
  expect(code).toBe(0);
  expect(out[0]).toMatch(/^ERR_ENGINE engine: expected the process's main thread/);
  expect(out.slice(1)).toEqual([out[0], '4']);
});

it('a worker that loads it before the main thread is refused as well', async () => {
  const { code, out } = await inChild(`
    import { spawnSync } from 'node:child_process';
    import { readEngineRecord } from ${JSON.stringify(new URL('../../src/binding/load.ts', import.meta.url).href)};
    const path = JSON.stringify(readEngineRecord().addon);
    const worker = "try { process.dlopen({ exports: {} }, " + path + "); console.log('loaded'); } catch (e) { console.log(e.code); }";
    const main = "new (require('node:worker_threads').Worker)(" + JSON.stringify(worker) + ", { eval: true })";
    const { status, stdout } = spawnSync(process.execPath, ['-e', main], { encoding: 'utf8' });
    say(status, stdout.trim());
  `);
  expect([code, out]).toEqual([0, ['0 ERR_ENGINE']]);
});

it.each([
  [
    'live tensors, gradients and generators',
    'const x = t.ones([9]).setRequiresGrad(); t.backward(x.sum()); new t.Generator(1);',
  ],
  ['a call of process.exit inside a scope', 't.tidy(() => { t.ones([2]); process.exit(0); });'],
  ['pictures being resized', `${resizing()} t.ones([2]);`],
  ['a call of process.exit while pictures are resized', `${resizing()} process.exit(0);`],
  [
    'a shared buffer and a mapped file',
    "globalThis.x = t.fromBuffer(new Float32Array(4), { shape: [4], dtype: 'f32' });",
  ],
])('the process ends well with %s', async (_, snippet) => {
  const { code, signal, err } = await inChild(snippet);
  expect({ code, signal, err }).toEqual({ code: 0, signal: null, err: '' });
});

function resizing(): string {
  return `for (let i = 0; i < 6; i++) {
    addon.resample(new Uint8Array(3000 * 3000 * 3), 3000, 3000, 3, Int32Array.of(0, 2000, 2000, 4, 0), new Uint8Array(2000 * 2000 * 3));
  }`;
}

it('an uncaught error inside a scope ends the process with 1 and its own trace', async () => {
  const { code, err } = await inChild("t.tidy(() => { t.ones([2]); throw new Error('top'); });");
  expect([code, err]).toEqual([1, expect.stringContaining('Error: top')]);
});

it('the first SIGINT sets a flag, also while native code computes; it can be cleared', async () => {
  const { child, ended } = start(`
    t.installSignalHandlers();
    say('ready');
    const x = t.randn([700, 700]);
    const started = Date.now();
    while (t.interrupted() === 0 && Date.now() - started < 60_000) t.tidy(() => x.matmul(x));
    say(t.interrupted());
    t.clearInterrupted();
    say(t.interrupted());
  `);
  child.stdout?.once('data', () => child.kill('SIGINT'));
  const { code, out } = await ended;
  expect([code, out]).toEqual([0, ['ready', '2', '0']]);
});

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('a second %s ends the process at once with %i, even when nothing polls', async (signal, expected) => {
  const { child, ended } = start(`
    t.installSignalHandlers();
    say('ready');
    const end = Date.now() + 60_000;
    let flagged = false;
    while (Date.now() < end) {
      if (!flagged && t.interrupted() !== 0) { flagged = true; say('flagged'); }
    }
  `);
  child.stdout?.on('data', () => child.kill(signal));
  const { code, out } = await ended;
  expect([code, out]).toEqual([expected, ['ready', 'flagged']]);
});
