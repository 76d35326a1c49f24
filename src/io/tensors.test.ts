import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { memoryStats, tensor, tidy, zeros } from '../tensor/index.ts';
import { loadSafetensors, readSafetensorsHeader, saveSafetensors, saveSafetensorsRaw } from './safetensors.ts';

const path = join(mkdtempSync(join(tmpdir(), 'rae-tensors-')), 'x.safetensors');

test('tensors of every dtype survive saving and loading, mapped or read, and nothing leaks', () => {
  const before = memoryStats().tensors;
  tidy(() => {
    const saved = new Map(
      (['f32', 'f64', 'bf16', 'f16', 'i64', 'i32', 'u8', 'bool'] as const).map((dtype) => [
        dtype as string,
        tensor(
          [
            [1, 0],
            [1, 1],
          ],
          { dtype },
        ).transpose(0, 1),
      ]),
    );
    saved.set('scalar', tensor(2.5));
    saved.set('empty', zeros([0, 3]));
    saveSafetensors(path, saved, { step: '3' });
    for (const mmap of [false, true]) {
      const loaded = loadSafetensors(path, { mmap });
      for (const [key, value] of saved) {
        expect(loaded.get(key)?.dtype).toBe(value.dtype);
        expect(loaded.get(key)?.shape).toEqual(value.shape);
        expect(loaded.get(key)?.toNumbers()).toEqual(value.toNumbers());
      }
    }
    return undefined;
  });
  expect(readSafetensorsHeader(path).metadata).toEqual({ step: '3' });
  expect(memoryStats().tensors).toBe(before);
});

test('writing to a mapped tensor does not reach the file', () => {
  tidy(() => {
    saveSafetensors(path, new Map([['a', tensor([1, 2])]]));
    const bytes = readFileSync(path);
    loadSafetensors(path, { mmap: true }).get('a')!.zero_();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    return undefined;
  });
});

test('a dtype without a tensor counterpart is refused by name, or widened on request', () => {
  saveSafetensorsRaw(path, new Map([['w', { dtype: 'i16', shape: [2], data: new Uint8Array([1, 0, 255, 255]) }]]));
  expect(() => loadSafetensors(path)).toThrow(/'w': expected a dtype among .* received i16. Pass \{ widen: true \}/);
  tidy(() => {
    const { w } = Object.fromEntries(loadSafetensors(path, { widen: true }));
    expect(w?.dtype).toBe('i32');
    expect(w?.toNumbers()).toEqual([1, -1]);
    return undefined;
  });
});

test('a misaligned file can still be mapped: its tensors are copied', () => {
  const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
  const bytes = Buffer.concat([
    Buffer.from([header.length, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from(header),
    Buffer.from([0, 0, 128, 63]),
  ]);
  expect((8 + header.length) % 4).not.toBe(0);
  writeFileSync(path, bytes);
  tidy(() => {
    expect(loadSafetensors(path, { mmap: true }).get('a')?.item()).toBe(1);
    return undefined;
  });
});
