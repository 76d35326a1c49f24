// What could go wrong with memory: more than there is, buffers that move or vanish below a tensor, files cut short, growth.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Linear } from '../../src/nn/index.ts';
import { AdamW, clipGradNorm_, Ema } from '../../src/optim/index.ts';
import * as t from '../../src/tensor/index.ts';
import { ArgumentError, DataError, NativeError } from '../../src/util/errors.ts';
import { inChild } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-integrity-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a tensor of 100 TB', () => {
  it.each<[string, () => t.Tensor]>([
    ['zeros', () => t.zeros([25, 1e12])],
    ['empty', () => t.empty([25, 1e12])],
    ['by repetition', () => t.ones([1]).repeat([25e12])],
    ['as a product', () => t.ones([5e6, 1]).matmul(t.ones([1, 5e6]))],
  ])('%s is out of memory, and says of how much', (_, make) => {
    const run = () => t.tidy(make);
    expect(run).toThrow(NativeError);
    expect(run).toThrow(
      /: out of memory: expected 100000 GB to be free, received less\. Use a smaller batch or shape\.$/,
    );
    expect(t.tidy(() => t.ones([2]).add(1).toNumbers())).toEqual([2, 2]);
  });

  it('may be looked at through a view, which costs nothing', () => {
    t.tidy(() => {
      const vast = t.ones([1]).expand([25, 1e12]);
      expect(vast.numel).toBe(25e12);
      expect(vast.narrow(1, 7e11, 3).toNumbers()).toHaveLength(75);
      expect(String(vast)).toMatch(/^tensor\(\[\[1\.0000, 1\.0000, 1\.0000, \.\.\., 1\.0000/);
    });
  });

  it('does not fit into a typed array', () => {
    expect(() => t.tidy(() => t.ones([1]).expand([1e13]).toArray())).toThrow(/one typed array.*narrow\(\)/);
  });
});

describe('typed arrays', () => {
  const transferred = () => {
    const data = new Float32Array(4);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    return data;
  };

  it('whose buffer was transferred are refused', () => {
    expect(() => t.tensor(transferred(), { shape: [4] })).toThrow(
      /16 bytes.*received 0 \(was its buffer transferred\?\)/,
    );
    expect(() => t.fromBuffer(transferred(), { shape: [4], dtype: 'f32' })).toThrow(ArgumentError);
  });

  it('that are transferred by a getter of the shape are refused', () => {
    const data = new Float32Array(1 << 20);
    const shape = Object.defineProperty([0], 0, {
      get() {
        if (data.length > 0) structuredClone(data.buffer, { transfer: [data.buffer] });
        return 1 << 20;
      },
    });
    expect(() => t.tensor(data, { shape })).toThrow(/transferred|numbers for shape/);
  });

  it('must have the alignment and the length of the dtype', () => {
    const bytes = new Uint8Array(9);
    expect(() => t.fromBuffer(bytes.subarray(1), { shape: [2], dtype: 'f32' })).toThrow(
      /aligned.*Copy it with tensor\(\)/,
    );
    expect(() => t.fromBuffer(bytes, { shape: [2], dtype: 'f32' })).toThrow(/8 bytes.*received 9/);
  });

  it('of a resizable buffer are refused, for their memory could go away', () => {
    const Resizable = ArrayBuffer as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
    const buffer = new Resizable(8, { maxByteLength: 64 });
    for (const data of [buffer, new Float32Array(buffer)]) {
      expect(() => t.fromBuffer(data, { shape: [2], dtype: 'f32' })).toThrow(/fixed length.*Copy its contents/);
    }
  });

  it('stay whole below a tensor when nobody else holds them, and when somebody would transfer them', async () => {
    const { code, out } = await inChild(`
      const make = (n) => t.fromBuffer(new Float32Array(n).fill(3), { shape: [n], dtype: 'f32' });
      const alone = make(1 << 20);
      const data = new Float32Array(1 << 20).fill(1);
      const shared = t.fromBuffer(data, { shape: [1 << 20], dtype: 'f32' });
      try { structuredClone(data.buffer, { transfer: [data.buffer] }); } catch {}
      for (let i = 0; i < 20; i++) { gc(); make(1 << 20).dispose(); }
      await new Promise((r) => setTimeout(r, 20)); gc();
      say(alone.sum().item() / (1 << 20), shared.sum().item() / (1 << 20));
    `);
    expect([code, out]).toEqual([0, ['3 1']]);
  });

  it('are let go with their tensor', async () => {
    const { code, out } = await inChild(`
      for (let i = 0; i < 40; i++) {
        t.fromBuffer(new Uint8Array(64 << 20).fill(1), { shape: [64 << 20], dtype: 'u8' }).dispose();
        gc();
        await new Promise((r) => setTimeout(r));
      }
      say(t.memoryStats().resident < 1e9);
    `);
    expect([code, out]).toEqual([0, ['true']]);
  });

  it('of shared memory may be shared', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    const x = t.fromBuffer(shared, { shape: [2], dtype: 'f32' });
    x.add_(1);
    expect([...shared]).toEqual([1, 1]);
    x.dispose();
  });
});

describe('pictures being resized', () => {
  it('stay whole when somebody would transfer them meanwhile', async () => {
    const { code, out } = await inChild(`
      import { resample } from ${JSON.stringify(new URL('../../src/data/resample.ts', import.meta.url).href)};
      const side = 2000;
      const work = [];
      for (let i = 0; i < 6; i++) {
        const data = new Uint8Array(side * side * 3).fill(100 + i);
        work.push(resample({ width: side, height: side, data }, [{ resize: [500, 500], filter: 'lanczos' }]));
        try { structuredClone(data.buffer, { transfer: [data.buffer] }); } catch {}
      }
      gc();
      for (const { data } of await Promise.all(work)) say(Math.min(...data.subarray(0, 9999)), Math.max(...data.subarray(-9999)));
    `);
    expect([code, out]).toEqual([0, [100, 101, 102, 103, 104, 105].map((value) => `${value} ${value}`)]);
  });
});

describe('a mapped file', () => {
  const file = join(folder, 'data.bin');
  writeFileSync(file, Float32Array.of(1, 2, 3, 4));

  it('shorter than its tensor says how long it is', () => {
    const run = () => t.mapFile(file, { offset: 4, shape: [4], dtype: 'f32' });
    expect(run).toThrow(DataError);
    expect(run).toThrow(/to reach byte 20, received a file of 16 bytes\. Was it cut short\?/);
  });

  it('may begin anywhere: unaligned elements are copied', () => {
    const bytes = new Uint8Array(9);
    bytes.set(new Uint8Array(Float32Array.of(1.5, -2).buffer), 1);
    writeFileSync(join(folder, 'odd.bin'), bytes);
    const x = t.mapFile(join(folder, 'odd.bin'), { offset: 1, shape: [2], dtype: 'f32' });
    expect(x.toNumbers()).toEqual([1.5, -2]);
    x.dispose();
  });

  it('can be written to and deleted without touching one another', () => {
    const x = t.mapFile(file, { shape: [4], dtype: 'f32' });
    const y = t.mapFile(file, { shape: [4], dtype: 'f32' });
    x.mul_(2);
    rmSync(file);
    expect([x.toNumbers(), y.toNumbers()]).toEqual([
      [2, 4, 6, 8],
      [1, 2, 3, 4],
    ]);
    t.dispose([x, y]);
  });

  it('that is missing, a folder, or named with a NUL is refused', () => {
    const map = (path: string) => () => t.mapFile(path, { shape: [1], dtype: 'u8' });
    expect(map(join(folder, 'none'))).toThrow(/cannot open '.*none': No such file/);
    expect(map(folder)).toThrow(/expected a file, received/);
    expect(map(`${join(folder, 'odd.bin')}\0.png`)).toThrow(ArgumentError);
    expect(() => t.mapFile(join(folder, 'odd.bin'), { offset: -1, shape: [1], dtype: 'u8' })).toThrow(/0 or more/);
  });

  it('of no elements needs no bytes', () => {
    const x = t.mapFile(join(folder, 'odd.bin'), { offset: 9, shape: [0, 3], dtype: 'f32' });
    expect(x.shape).toEqual([0, 3]);
    x.dispose();
  });
});

describe('generators', () => {
  it('refuse a state of the wrong size or of nonsense, and keep their own', () => {
    const g = new t.Generator(5);
    const state = g.getState();
    expect(() => g.setState(state.subarray(8))).toThrow(ArgumentError);
    expect(() => g.setState(new Uint8Array(state.length).fill(255))).toThrow(/expected bytes that getState\(\) gave/);
    expect(() => g.setState('state' as unknown as Uint8Array)).toThrow(/a Uint8Array, received 'state'/);
    expect(g.getState()).toEqual(state);
    g.dispose();
    g.dispose();
    expect(() => t.randn([1], { generator: g })).toThrow(/expected a live Generator/);
  });

  it('by the thousand are freed when they are dropped', async () => {
    const { code, out } = await inChild(`
      const draw = (i) => { const g = new t.Generator(i); t.tidy(() => t.randn([4], { generator: g })); };
      const before = t.memoryStats().bytes;
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 2000; i++) draw(i);
        gc();
        await new Promise((r) => setTimeout(r));
      }
      say(t.memoryStats().bytes - before < 15e6);
    `);
    expect([code, out]).toEqual([0, ['true']]);
  });
});

describe('the table of handles', () => {
  it('is full at two million, says so, loses none, and works again when some are freed', async () => {
    const { code, out } = await inChild(`
      const x = t.ones([8]);
      const same = addon.findOperator('aten::contiguous', '');
      const all = [];
      said(() => { for (;;) all.push(addon.call(same, x.handle)); });
      for (let i = 0; i < 4; i++) addon.free(all.pop());
      const live = t.memoryStats().tensors;
      said(() => x.chunk(8)); // needs 8, finds 4
      say(t.memoryStats().tensors - live);
      for (const h of all) addon.free(h);
      say(t.tidy(() => x.chunk(8)[7].item()), t.memoryStats().tensors);
    `);
    expect(code).toBe(0);
    expect(out[0]).toMatch(
      /^NativeError: aten::contiguous .*fewer than two million live tensors.*tidy\(\) or dispose\(\)/,
    );
    expect(out[1]).toMatch(/^NativeError: aten::chunk/);
    expect(out.slice(2)).toEqual(['0', '1 1']);
  });
});

it('2,000 training steps leave the number of tensors and the memory flat', async () => {
  const model = new Linear(16, 16);
  const optimizer = new AdamW(model.namedParameters(), { lr: 1e-3, weightDecay: 0.01 });
  const ema = new Ema(model, { decay: 0.99 });
  const x = t.keep(t.randn([8, 16]));
  const step = (n: number) =>
    t.tidy(() => {
      optimizer.zeroGrad();
      const loss = t.mseLoss(model.forward(x), x);
      t.backward(loss);
      clipGradNorm_(model.parameters(), 1);
      optimizer.step();
      ema.update(n);
      return loss.item();
    });
  let n = 0;
  while (n < 300) step(n++); // compiled code, allocator arenas
  const before = t.memoryStats();
  while (n < 2300) step(n++);
  const after = t.memoryStats();
  expect(after.tensors).toBe(before.tensors);
  expect(after.bytes - before.bytes).toBeLessThan(4e6); // V8's own heap grows through malloc, too
  expect(after.resident - before.resident).toBeLessThan(24e6);
  for (const owner of [optimizer, ema, model, x]) owner.dispose();
});
