import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { inOrder, syntheticImage } from '../data/index.ts';
import { encodeGrid } from '../io/grid.ts';
import { decodeImage, savePng } from '../io/image.ts';
import { saveNpy, saveNpz } from '../io/npz.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import { dispose, ones, zeros } from '../tensor/index.ts';
import { LatentWriter, readLatentInfo } from './latent-file.ts';
import { openInput } from './pictures.ts';
import { byteGrid, splitBytes, toBytes, toPixels } from './pixels.ts';
import { Spool } from './spool.ts';
import { pickTensor, readTensors, withWeights } from './tensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

// ── latents ───────────────────────────────────────────

test.each(['npz', 'safetensors'])(
  'latents added in parts come back whole from %s, with what is known of them',
  (ending) => {
    const path = join(folder, `latents.${ending}`);
    const values = Float32Array.from({ length: 3 * 8 }, (_, i) => i / 7);
    const writer = new LatentWriter(path);
    writer.add(new Uint8Array(values.buffer, 0, 2 * 32), [4, 1], ['a.png', 'b.png']);
    writer.add(new Uint8Array(values.buffer, 2 * 32), [0], ['c.png']);
    writer.finish([2, 2, 2], { normalized: true, classes: ['x', 'y'] });
    writer.dispose();
    expect(readLatentInfo(path)).toEqual({ normalized: true, paths: ['a.png', 'b.png', 'c.png'], classes: ['x', 'y'] });
    const tensors = readTensors(path);
    expect(tensors.get('latents')!.shape).toEqual([3, 2, 2, 2]);
    expect(tensors.get('latents')!.toArray()).toEqual(values);
    expect(tensors.get('labels')!.toNumbers()).toEqual([4, 1, 0]);
    dispose(tensors);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  },
);

test('latents are written to npz and safetensors alone', () => {
  expect(() => new LatentWriter('x.pt')).toThrow(
    "--out: expected a name ending in .safetensors or .npz, received 'x.pt'.",
  );
});

test('a spool gives back what it was given, and leaves nothing', () => {
  const spool = new Spool(join(folder, 'deep', 'target'));
  const parts = [Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)];
  for (const part of parts) spool.append(part);
  expect(Buffer.concat([...spool.pieces()])).toEqual(Buffer.from([1, 2, 3]));
  expect(spool.length).toBe(3);
  spool.dispose();
  expect(readdirSync(join(folder, 'deep'))).toEqual([]);
});

// ── tensors ───────────────────────────────────────────

test('tensors are read from npz and npy too', () => {
  const data = Float32Array.of(1, 2, 3, 4);
  const [npz, npy] = [join(folder, 'noise.npz'), join(folder, 'noise.npy')];
  saveNpz(npz, new Map([['noise', { dtype: 'f32', shape: [2, 2], data }]]));
  saveNpy(npy, { dtype: 'f32', shape: [2, 2], data });
  for (const path of [npz, npy]) {
    const tensors = readTensors(path);
    expect(pickTensor(path, tensors, { names: ['noise'], rank: 2 }).toArray()).toEqual(data);
    dispose(tensors);
  }
});

test('the tensor that is meant has the name, or is alone in its rank', () => {
  const tensors = new Map([
    ['a', zeros([2, 2])],
    ['b', ones([2, 2])],
    ['c', ones([2])],
  ]);
  const pick = (names: string[], rank: number) => pickTensor('f', tensors, { names, rank });
  expect(pick(['x', 'b'], 2)).toBe(tensors.get('b'));
  expect(pick(['x'], 1)).toBe(tensors.get('c'));
  expect(() => pick(['x'], 2)).toThrow(
    "f: expected one tensor of 2 dimensions, named x, received ['a [2, 2]', 'b [2, 2]', 'c [2]'].",
  );
});

test('of a training checkpoint the average is meant, the trained weights on request', () => {
  const path = join(folder, 'checkpoint.safetensors');
  saveSafetensors(
    path,
    new Map([
      ['model/w', zeros([1])],
      ['ema/w', ones([1])],
      ['optimizer/w', zeros([1])],
    ]),
  );
  const value = (raw: boolean) => withWeights(path, { raw }, (state) => [...state].map(([key, t]) => [key, t.item()]));
  expect(value(false)).toEqual([['w', 1]]);
  expect(value(true)).toEqual([['w', 0]]);
});

// ── pictures ──────────────────────────────────────────

const picture = (index: number) => ({ width: 16, height: 16, data: syntheticImage({ seed: 0, index, size: 16 }) });

test('one file, a folder and the embedded set are read as squares, with short names', async () => {
  mkdirSync(join(folder, 'photos', 'cats'), { recursive: true });
  for (const i of [0, 1, 2, 3]) await savePng(join(folder, 'photos', 'cats', `${i}.png`), picture(i));
  writeFileSync(join(folder, 'photos', 'cats', '9.png'), 'no picture');
  const read = async (input: string, num?: number) => {
    const { source, nameOf } = await openInput(input, { side: 16, num });
    const names: string[] = [];
    for await (const { indices } of inOrder(source, { batch: 2, onUnreadable: () => {} }))
      names.push(...Array.from(indices, nameOf));
    return { size: source.size, names };
  };
  expect(await read(join(folder, 'photos', 'cats', '2.png'))).toEqual({ size: 1, names: ['2.png'] });
  const all = ['cats/0.png', 'cats/1.png', 'cats/2.png', 'cats/3.png'];
  expect(await read(join(folder, 'photos'))).toEqual({ size: 5, names: all }); // the unreadable one is left out
  expect(await read(join(folder, 'photos'), 2)).toEqual({ size: 2, names: ['cats/1.png', 'cats/3.png'] });
  expect(await read('embedded', 1)).toEqual({ size: 1, names: ['embedded-0000'] });
});

test('an input that is not there, or a single file that is no picture, is an error', async () => {
  await expect(openInput('nowhere', { side: 8 })).rejects.toThrow(
    "--input: expected an existing picture, folder or archive, received 'nowhere'.",
  );
  writeFileSync(join(folder, 'text.png'), 'no picture');
  await expect(openInput(join(folder, 'text.png'), { side: 8 })).rejects.toThrow(/not a readable picture/);
});

test.each([1, 5])('a grid of %i pictures as bytes is the grid of them as floats', async (count) => {
  const pictures = Array.from({ length: count }, (_, i) => picture(i).data);
  const path = join(folder, 'grid.png');
  await savePng(path, byteGrid(pictures, { side: 16, columns: 3 }));
  const pixels = toPixels(Buffer.concat(pictures), [count, 16, 16]);
  const expected = await decodeImage(await encodeGrid(pixels, { nrow: 3 }));
  expect(await decodeImage(path)).toEqual(expected);
  expect(splitBytes(toBytes(pixels), 16).map((bytes) => Buffer.from(bytes))).toEqual(
    pictures.map((bytes) => Buffer.from(bytes)),
  );
  pixels.dispose();
});

test('files that were never finished do not appear', () => {
  const path = join(folder, 'unfinished.npz');
  const writer = new LatentWriter(path);
  writer.add(new Uint8Array(4), [0], ['x']);
  writer.dispose();
  expect(existsSync(path)).toBe(false);
});
