// What could go wrong with files as memory: they are cut, overwritten or replaced while tensors are mapped from them.
// In children: without the addon's handler the system would end the process (SIGBUS).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { inChild } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-mapped-'));
afterAll(() => rmSync(folder, { recursive: true }));

const pages = (count: number, file: string) => `
  import { ftruncateSync, openSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
  const path = ${JSON.stringify(join(folder, file))};
  const length = ${count} * 16384;
  writeFileSync(path, new Uint8Array(new Float32Array(length / 4).fill(1).buffer));
  const map = (offset, n) => t.mapFile(path, { offset, shape: [n], dtype: 'f32' });
`;
const cut =
  /^DataError: .*: expected '.*' to keep its length while tensors are mapped from it, received a file that was cut\./;

it('a file that is cut under its tensors gives an error at every touch, and what does not need it goes on', async () => {
  const { code, signal, out } = await inChild(`${pages(4, 'cut.bin')}
    const head = map(0, 1024), tail = map(2 * 16384, 2 * 4096), other = t.ones([3]);
    truncateSync(path, 16384);
    for (let i = 0; i < 2; i++) {
      said(() => tail.sum().item());
      said(() => tail.toNumbers().length);
      said(() => tail.select(0, 0).item());
    }
    say(head.sum().item(), other.sum().item());
    t.dispose([head, tail]);
    said(() => t.mapFile(path, { shape: [4097], dtype: 'f32' }));
    say(map(0, 4096).sum().item(), t.memoryStats().tensors);
  `);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  for (const line of out.slice(0, 6)) expect(line).toMatch(cut);
  expect(out[6]).toBe('1024 3');
  expect(out[7]).toMatch(/to reach byte 16388, received a file of 16384 bytes/);
  expect(out[8]).toMatch(/^4096 /);
});

it('it may be cut while several threads read it, and in the middle of backward', async () => {
  const { code, signal, out } = await inChild(`${pages(256, 'threads.bin')}
    t.setThreads(2);
    const weight = map(0, length / 4), x = t.ones([length / 4]).setRequiresGrad();
    const y = x.mul(weight).sum();
    truncateSync(path, 0);
    said(() => weight.mul(2).sum().item());
    said(() => t.backward(y));
    said(() => t.cat([weight, weight], 0).shape);
    say(t.ones([length]).mul(2).sum().item() === 2 * length);
  `);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  for (const line of out.slice(0, 3)) expect(line).toMatch(cut);
  expect(out[3]).toBe('true');
});

it('a file that is replaced by renaming stays whole, also for what is read from it between', async () => {
  const { code, out } = await inChild(`${pages(1, 'old.bin')}
    const fd = openSync(path, 'r');
    const before = map(0, 4096);
    writeFileSync(path + '.new', new Uint8Array(10));
    renameSync(path + '.new', path);
    const same = t.mapFile(path, { shape: [4096], dtype: 'f32', fd });
    say(before.sum().item(), same.sum().item());
    said(() => map(0, 4096));
    said(() => t.mapFile(path, { shape: [1], dtype: 'f32', fd: 999 }));
    said(() => t.mapFile(path, { shape: [1], dtype: 'f32', fd: -1 }));
  `);
  expect([code, out[0]]).toEqual([0, '4096 4096']);
  expect(out[1]).toMatch(/received a file of 10 bytes/);
  expect(out[2]).toMatch(/^DataError: .*expected a file/);
  expect(out[3]).toMatch(/^ArgumentError: .*expected 'fd' to be the descriptor of an open file, received -1/);
});

it('hundreds of mappings come and go, each with its own file', async () => {
  const { code, out } = await inChild(`${pages(1, 'many.bin')}
    for (let round = 0; round < 3; round++) {
      const many = Array.from({ length: 700 }, () => map(0, 8));
      if (round === 2) { truncateSync(path, 0); said(() => many[699].sum().item()); said(() => many[3].sum().item()); }
      else say(many[699].sum().item());
      t.dispose(many);
    }
  `);
  expect(code).toBe(0);
  expect(out.slice(0, 2)).toEqual(['8', '8']);
  for (const line of out.slice(2)) expect(line).toMatch(cut);
});

it.runIf(process.platform === 'linux')(
  'a file of many tensors is one mapping, whatever is cut from its end',
  async () => {
    const { code, out } = await inChild(`${pages(8, 'one.bin')}
    import { readFileSync } from 'node:fs';
    const places = Array.from({ length: 8 }, (_, i) => ({ offset: i * 16384, shape: [64, 64], dtype: 'f32' }));
    const tensors = t.mapTensors(path, [...places, { offset: 0, shape: [0], dtype: 'f32' }, { offset: 2, shape: [2], dtype: 'u8' }]);
    say(readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.endsWith('one.bin')).length);
    tensors[0].mul_(2);
    truncateSync(path, 4 * 16384);
    said(() => tensors[6].sum().item());
    said(() => tensors[4].sum().item());
    said(() => tensors[7].sum().item());
    say(tensors[0].sum().item(), tensors[3].sum().item(), tensors[8].shape[0], tensors[9].numel);
    t.dispose(tensors.slice(1));
    say(tensors[0].sum().item());
    tensors[0].dispose();
    say(readFileSync('/proc/self/maps', 'utf8').includes('one.bin'));
    said(() => t.mapTensors(path, [places[0], places[4]]));
    said(() => t.mapTensors(path, [places[0], { ...places[0], offset: -1 }]));
    say(t.mapTensors(path, []).length);
  `);
    expect(code).toBe(0);
    expect(out[0]).toBe('1');
    for (const line of out.slice(1, 4)) expect(line).toMatch(cut);
    expect(out.slice(4, 7)).toEqual(['8192 4096 0 2', '8192', 'false']);
    expect(out[7]).toMatch(/to reach byte 81920, received a file of 65536 bytes/);
    expect(out[8]).toMatch(/^ArgumentError: .*expected 'offset' to be 0 or more/);
    expect(out[9]).toBe('0');
  },
);

it('a SIGBUS that has nothing to do with a mapped file still ends the process', async () => {
  const { signal } = await inChild(`${pages(1, 'signal.bin')}
    map(0, 8);
    process.kill(process.pid, 'SIGBUS');
    setTimeout(() => say('alive'), 5000);
  `);
  expect(signal).toBe('SIGBUS');
});
