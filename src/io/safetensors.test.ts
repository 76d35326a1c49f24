import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { memorySource } from './file-reader.ts';
import { readSafetensorsHeader, readSafetensorsRaw, saveSafetensorsRaw } from './safetensors.ts';
import { parseSafetensorsHeader } from './safetensors-header.ts';
import type { RawTensor } from './storage-dtype.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-st-'));
const path = join(folder, 'x.safetensors');

function file(header: string, data = 0): Uint8Array {
  const json = Buffer.from(header);
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const parse = (bytes: Uint8Array) => parseSafetensorsHeader(memorySource(bytes, 'bad.safetensors'));
const f32 = (...values: number[]): RawTensor => ({
  dtype: 'f32',
  shape: [values.length],
  data: new Uint8Array(new Float32Array(values).buffer),
});

test('tensors, metadata and names with any character survive a round trip', () => {
  const tensors = new Map<string, RawTensor>([
    ['b/with "quotes" ü', f32(1, 2)],
    ['a', { dtype: 'i64', shape: [], data: new Uint8Array(8).fill(7) }],
    ['empty', { dtype: 'bf16', shape: [0, 3], data: new Uint8Array(0) }],
    ['__proto__', { dtype: 'bool', shape: [1], data: new Uint8Array([1]) }],
  ]);
  saveSafetensorsRaw(path, tensors, { format: 'pt' });
  expect(readSafetensorsHeader(path).metadata).toEqual({ format: 'pt' });
  const loaded = readSafetensorsRaw(path);
  for (const [key, tensor] of tensors) expect(loaded.get(key)).toEqual(tensor);
});

test('the written file does not depend on the order of the map, and data is aligned to 8 bytes', () => {
  saveSafetensorsRaw(
    path,
    new Map([
      ['a', f32(1)],
      ['b', f32(2)],
    ]),
  );
  const first = readFileSync(path);
  saveSafetensorsRaw(
    path,
    new Map([
      ['b', f32(2)],
      ['a', f32(1)],
    ]),
  );
  expect(readFileSync(path).equals(first)).toBe(true);
  expect(readSafetensorsHeader(path).tensors.get('a')!.offset % 8).toBe(0);
});

test('every byte must belong to exactly one tensor', () => {
  const entry = (shape: number, begin: number, end: number) =>
    `{"dtype":"F32","shape":[${shape}],"data_offsets":[${begin},${end}]}`;
  expect(() => parse(file(`{"a":${entry(1, 0, 4)},"b":${entry(1, 2, 6)}}`, 8))).toThrow(/overlap/);
  expect(() => parse(file(`{"a":${entry(1, 0, 4)},"b":${entry(1, 6, 10)}}`, 10))).toThrow(/hole/);
  expect(() => parse(file(`{"a":${entry(1, 0, 4)}}`, 3))).toThrow(/cut off/);
  expect(() => parse(file(`{"a":${entry(1, 0, 4)}}`, 5))).toThrow(/after the last tensor/);
  expect(() => parse(file(`{"a":${entry(2, 0, 4)}}`, 4))).toThrow(/8 bytes/);
});

test('a name that occurs twice is refused', () => {
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
  expect(() => parse(file(`{"a":${entry},"a":${entry}}`, 4))).toThrow(
    "bad.safetensors: expected unique keys, received 'a' twice",
  );
});

test('a header length beyond the file is refused before anything is allocated, with a hint at what the file is', () => {
  const bytes = new Uint8Array(64);
  bytes.set(Buffer.from('version https://git-lfs.github.com/spec/v1\noid'));
  expect(() => parse(bytes)).toThrow(/git-lfs pointer/);
});

test('a folder or a missing file is named', () => {
  expect(() => readSafetensorsHeader(folder)).toThrow(/a folder/);
  expect(() => readSafetensorsHeader(join(folder, 'none'))).toThrow(/no such file/);
  writeFileSync(path, '');
  expect(() => readSafetensorsHeader(path)).toThrow(/received 0 bytes/);
});
