import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { memorySource } from './file-reader.ts';
import { type NpyArray, npyPieces, readNpy } from './npy.ts';
import { batchImages, batchMoments, loadNpy, loadNpz, saveNpy, saveNpz } from './npz.ts';
import { parsePythonLiteral } from './python-literal.ts';
import { ZipReader } from './zip.ts';
import { zipPieces } from './zip-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-npz-'));
const path = join(folder, 'x.npz');
const bytes = (...values: number[]): NpyArray => ({
  dtype: 'u8',
  shape: [values.length],
  data: new Uint8Array(values),
});
const archive = (pieces: Iterable<Uint8Array>) => new Uint8Array(Buffer.concat([...pieces]));
const open = (data: Uint8Array) => new ZipReader(memorySource(data, 'bad.zip'));

test('arrays of several dtypes survive a round trip', () => {
  const arrays = new Map<string, NpyArray>([
    ['arr_0', { dtype: 'f32', shape: [2, 2], data: new Float32Array([1, 2, 3, 4]) }],
    ['scalar', { dtype: 'f64', shape: [], data: new Float64Array([2.5]) }],
    ['labels', { dtype: 'i64', shape: [2], data: new BigInt64Array([-1n, 2n ** 40n]) }],
    ['half', { dtype: 'f16', shape: [1], data: new Uint16Array([0x3c00]) }],
    ['none', { dtype: 'bool', shape: [0, 3], data: new Uint8Array(0) }],
  ]);
  saveNpz(path, arrays);
  expect(loadNpz(path)).toEqual(arrays);
  saveNpy(join(folder, 'x.npy'), arrays.get('arr_0')!);
  expect(loadNpy(join(folder, 'x.npy'))).toEqual(arrays.get('arr_0'));
});

test('a streamed array is written in one pass and refused when its pieces do not fill the shape', () => {
  const pieces = [new Uint8Array([1, 2]), new Uint8Array([3])];
  saveNpz(path, new Map([['arr_0', { dtype: 'u8', shape: [3], pieces }]]));
  expect(loadNpz(path).get('arr_0')).toEqual(bytes(1, 2, 3));
  const short = new Map([['arr_0', { dtype: 'u8', shape: [4], pieces } as const]]);
  expect(() => saveNpz(path, short)).toThrow(/expected 4 bytes for u8 \[4\], received 3/);
  expect(loadNpz(path).get('arr_0')).toEqual(bytes(1, 2, 3));
});

test('zip64 and aligned entries read back', () => {
  const inputs = [
    { name: 'a', data: new Uint8Array([1]) },
    { name: 'b', data: [new Uint8Array([2]), new Uint8Array([3])] },
  ];
  for (const options of [{ forceZip64: true }, { align: 64 }, { align: 64, forceZip64: true }]) {
    const zip = open(archive(zipPieces(inputs, options)));
    expect([...zip.read('a'), ...zip.read('b')]).toEqual([1, 2, 3]);
    if (options.align) expect(zip.dataOffset('b') % 64).toBe(0);
  }
});

test('two entries of one name, damaged data and a missing entry are refused', () => {
  const twice = archive(
    zipPieces([
      { name: 'a', data: new Uint8Array(1) },
      { name: 'a', data: new Uint8Array(1) },
    ]),
  );
  expect(() => open(twice)).toThrow("bad.zip: expected unique entries, received two named 'a'.");
  const good = archive(zipPieces([{ name: 'a', data: new Uint8Array([9, 9, 9]) }]));
  const at = open(good).dataOffset('a');
  good[at] = 8;
  expect(() => open(good).read('a')).toThrow(/entry 'a': the CRC-32 check sum is wrong/);
  expect(() => open(good).read('b')).toThrow("expected an entry 'b', received a.");
});

test('column-major, big-endian and one-element tuples are understood', () => {
  const npy = (descr: string, fortran: string, shape: string, data: number[]) => {
    const header = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
    const start = Buffer.from(`\u0093NUMPY\u0001\u0000${String.fromCharCode(header.length)}\u0000${header}`, 'latin1');
    return readNpy(memorySource(new Uint8Array([...start, ...data]), 'x.npy'));
  };
  expect([...(npy('|u1', 'True', '(2, 3)', [1, 2, 3, 4, 5, 6]).data as Uint8Array)]).toEqual([1, 3, 5, 2, 4, 6]);
  expect([...(npy('>u2', 'False', '(1,)', [1, 2]).data as Uint16Array)]).toEqual([258]);
  expect(() => npy('|O', 'False', '(1,)', [0])).toThrow(/object array \(a pickle, which can run code\)/);
  expect(() => npy('<f4', 'False', '(2,)', [0])).toThrow(/expected 8 bytes of data for f32 \[2\], received 1/);
});

test('the header parser takes literals and nothing else', () => {
  const parse = (text: string) => parsePythonLiteral(text, 'x.npy');
  expect(parse('{\'a\': (1, -2L,), "b": [True, None], }')).toEqual(
    new Map([
      ['a', [1, -2]],
      ['b', [true, null]],
    ] as never),
  );
  for (const code of ['__import__("os")', '1 + 1', "{'a': 1, 'a': 2}", "{'a'}", '(1', 'f()', '1.5', '('.repeat(40)]) {
    expect(() => parse(code), code).toThrow(/x.npy: expected a plain Python literal/);
  }
});

test('picture batches and moments say what is wrong with them', () => {
  const name = 'b.npz';
  expect(() => batchImages(new Map([['x', bytes(1)]]), { name })).toThrow(
    'b.npz: expected pictures under arr_0, received the keys x.',
  );
  expect(() => batchImages(new Map([['arr_0', bytes(1)]]), { name })).toThrow(
    /uint8 \[N, H, W, 3\], received u8 \[1\]/,
  );
  const mu: NpyArray = { dtype: 'f64', shape: [2], data: new Float64Array(2) };
  const sigma: NpyArray = { dtype: 'f64', shape: [3, 3], data: new Float64Array(9) };
  expect(() =>
    batchMoments(
      new Map([
        ['mu', mu],
        ['sigma', sigma],
      ]),
      { name },
    ),
  ).toThrow(/received \[2\] and \[3, 3\]/);
});

test('NumPy reads what is written here', (context) => {
  saveNpz(
    path,
    new Map([
      ['a', { dtype: 'f32', shape: [2], data: new Float32Array([1, 2]) }],
      ['s', { dtype: 'u8', shape: [3], pieces: [new Uint8Array(3)] }],
    ]),
  );
  writeFileSync(
    join(folder, 'zip64.npz'),
    archive(zipPieces([{ name: 'a.npy', data: Buffer.concat(npyPieces(bytes(5))) }], { forceZip64: true })),
  );
  const script =
    'import sys, numpy as n; a = n.load(sys.argv[1]); b = n.load(sys.argv[2]); print(a["a"].sum(), a["s"].shape, b["a"][0])';
  try {
    execFileSync('python3', ['-c', 'import numpy'], { stdio: 'ignore' });
  } catch {
    return context.skip('python3 with numpy is not here');
  }
  const printed = execFileSync('python3', ['-c', script, path, join(folder, 'zip64.npz')], { encoding: 'utf8' });
  expect(printed.trim()).toBe('3.0 (3,) 5');
});
