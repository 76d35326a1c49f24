// Area `formats`: files that must load value by value, and files that must be refused with a reason that names them.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect } from 'vitest';
import { checkEncoder, checkFiles, loadConfig, type RunConfig, readConfigFile } from '../../src/config/index.ts';
import {
  batchImages,
  batchMoments,
  collectTensors,
  decodeElements,
  loadSafetensors,
  loadSharded,
  materialise,
  type NpyArray,
  type PyValue,
  readSafetensorsRaw,
  readTorch,
  toTensors,
} from '../../src/io/index.ts';
import { loadNpy, loadNpz } from '../../src/io/npz.ts';
import { STORAGE_DTYPES } from '../../src/io/storage-dtype.ts';
import { loadTorch } from '../../src/io/torch-pickle/index.ts';
import { createStage2 } from '../../src/models/stage2.ts';
import { skipInit } from '../../src/nn/index.ts';
import { dispose, tidy } from '../../src/tensor/index.ts';
import { RaeError } from '../../src/util/errors.ts';
import { newestCheckpoint } from '../../src/weights/index.ts';
import { official } from './formats-official.ts';
import { expectStructure, readAll } from './formats-structure.ts';
import { type Entry, type Fixture, runArea } from './harness.ts';

runArea('formats', { safetensors, npy, npz, sharded, config, 'torch-pickle': torchPickle, official, other: newest });

interface Expected {
  outcome: string;
  must_mention?: string[];
}

/** Which of several training checkpoints is the newest. */
function newest(entry: Entry): void {
  const { files, newest, with_last, newest_with_last } = entry.config as Record<string, string[]>;
  expect(newestCheckpoint(files!)).toBe(newest);
  expect(newestCheckpoint(with_last!)).toBe(newest_with_last);
}

/** Runs `load`; a refusal must be an error of ours that names the file, and must be allowed by the entry (as must a success). */
function judge(entry: Entry, load: () => void): void {
  const { outcome, must_mention = [basename(entry.file ?? '')] } = entry.expected as unknown as Expected;
  const started = performance.now();
  let error: unknown;
  try {
    load();
  } catch (caught) {
    error = caught;
  }
  expect(performance.now() - started, `${entry.name}: milliseconds`).toBeLessThan(outcome === 'loads' ? 10_000 : 2_000);
  if (error === undefined) {
    expect(outcome, `${entry.name} was not refused`).toMatch(/loads|decoded|read|ignored|skipped|kept/);
    return;
  }
  if (!(error instanceof RaeError) || outcome === 'loads') throw error;
  for (const part of must_mention) expect(error.message).toContain(part);
}

function safetensors(entry: Entry, fixture: Fixture): void {
  judge(entry, () => {
    const values =
      (entry.expected as { values?: Record<string, { dtype: string; shape: number[]; values: number[] }> }).values ??
      {};
    const raw = readSafetensorsRaw(fixture.path);
    expect([...raw.keys()].sort()).toEqual(Object.keys(values).sort());
    for (const [name, { dtype, shape, values: want }] of Object.entries(values)) {
      const got = raw.get(name)!;
      expect([STORAGE_DTYPES[got.dtype].torch, got.shape], name).toEqual([dtype, shape]);
      expect(Array.from(decodeElements(got), Number), name).toEqual(want);
    }
    tidy(() => {
      for (const [name, tensor] of loadSafetensors(fixture.path, { widen: true, mmap: true })) {
        expect(tensor.toNumbers(), `${name} as a tensor`).toEqual(values[name]?.values);
      }
      return undefined;
    });
  });
}

interface NpyExpected {
  arrays?: Record<
    string,
    { dtype: string; shape: number[]; sha256_c_order_little_endian: string; first_c_order: (number | boolean)[] }
  >;
}

function npy(entry: Entry, fixture: Fixture): void {
  judge(entry, () => expectArrays(entry, new Map([['', loadNpy(fixture.path)]])));
}

/** Archives to refuse are refused when read, or when used as what they hold: pictures, or moments. */
function npz(entry: Entry, fixture: Fixture): void {
  judge(entry, () => {
    const arrays = loadNpz(fixture.path);
    if ((entry.expected as NpyExpected).arrays) expectArrays(entry, arrays);
    else if (arrays.has('mu')) batchMoments(arrays, { name: fixture.path });
    else batchImages(arrays, { name: fixture.path });
  });
}

function expectArrays(entry: Entry, arrays: ReadonlyMap<string, NpyArray>): void {
  const wanted = (entry.expected as NpyExpected).arrays ?? {};
  expect([...arrays.keys()].sort()).toEqual(Object.keys(wanted).sort());
  for (const [name, { dtype, shape, data }] of arrays) {
    const want = wanted[name]!;
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    expect([STORAGE_DTYPES[dtype].torch, shape], name).toEqual([want.dtype, want.shape]);
    expect(createHash('sha256').update(bytes).digest('hex'), name).toBe(want.sha256_c_order_little_endian);
    const first = Array.from(decodeElements({ dtype, shape, data: bytes }), Number).slice(0, want.first_c_order.length);
    expect(first, name).toEqual(want.first_c_order.map(Number));
  }
}

function sharded(entry: Entry, fixture: Fixture): void {
  judge(entry, () =>
    tidy(() => {
      const expected = entry.expected as {
        sums_float64: Record<string, number>;
        first_values: Record<string, number[]>;
      };
      const tensors = loadSharded(fixture.path);
      expect([...tensors.keys()].sort()).toEqual(Object.keys(expected.sums_float64).sort());
      for (const [name, tensor] of tensors) {
        const values = tensor.toNumbers();
        expect(values.reduce((a, b) => a + b, 0)).toBeCloseTo(expected.sums_float64[name]!, 11);
        for (const [i, value] of (expected.first_values[name] ?? []).entries()) expect(values[i]).toBe(value);
      }
      return undefined;
    }),
  );
}

function torchPickle(entry: Entry, fixture: Fixture): void {
  judge(entry, () => {
    const value = readTorch(fixture.path);
    if (entry.expected?.structure === undefined) readAll(value, fixture.path);
    else expectStructure(value, entry, fixture.path);
    for (const mmap of [false, true]) tidy(() => expectTensors(value, { path: fixture.path, mmap }));
  });
}

/** Tensors, as views of shared or mapped memory, hold what their bytes hold. */
function expectTensors(value: PyValue, { path, mmap }: { path: string; mmap: boolean }): void {
  const real = [...collectTensors(value, { name: path })].filter(([, { dtype }]) => STORAGE_DTYPES[dtype].widen);
  const found = new Map(real);
  for (const [name, tensor] of toTensors(real, { name: path, mmap, widen: true })) {
    if (tensor.numel > 1_000_000) continue; // a huge expanded view: it costs nothing as long as nobody reads it
    const want = Array.from(decodeElements(materialise(found.get(name)!, path)), Number);
    expect(tensor.shape, name).toEqual(found.get(name)!.shape);
    expect(tensor.toNumbers(), name).toEqual(want);
  }
}

/** A configuration is judged as sampling would: its fields, the encoder's sizes, the files it names, the strict load of stage 2. */
function config(entry: Entry, fixture: Fixture): void {
  judge(entry, () => {
    const { parsed } = entry.expected as { parsed?: unknown };
    if (parsed) expect(readConfigFile(fixture.path)).toEqual(parsed);
    const resolved = loadConfig(fixture.path);
    const sizes = encoderSizes(entry, resolved);
    const problems = [...(sizes ? checkEncoder(resolved, sizes) : []), ...checkFiles(resolved, { root: entry.dir })];
    if (problems.length > 0) throw new RaeError('ERR_CONFIG', problems.join('\n'));
    loadStage2(entry, resolved);
  });
}

function encoderSizes(entry: Entry, { stage_1 }: RunConfig): { hiddenSize: number; patchSize: number } | undefined {
  const file = join(entry.dir, stage_1.params.encoder_config_path, 'config.json');
  if (!existsSync(file)) return undefined;
  const json = JSON.parse(readFileSync(file, 'utf8')) as { hidden_size: number; patch_size: number };
  return { hiddenSize: json.hidden_size, patchSize: json.patch_size };
}

function loadStage2(entry: Entry, { stage_2 }: RunConfig): void {
  if (stage_2?.ckpt === undefined) return;
  const model = skipInit(() => createStage2(stage_2));
  const state = loadTorch(join(entry.dir, stage_2.ckpt));
  try {
    model.loadStateDict(state);
  } finally {
    dispose(state);
    model.dispose();
  }
}
