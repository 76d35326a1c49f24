// Golden checks of area `models` that concern whole files: AutoencoderRAE folders of diffusers, loaded as --model loads them, and
// checkpoints that torch.save wrote, tensor by tensor.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { loadModel } from '../../src/inference/load-model.ts';
import {
  collectTensors,
  loadTorch,
  materialise,
  type PyValue,
  readSafetensorsRaw,
  readTorch,
  saveSafetensors,
} from '../../src/io/index.ts';
import { noGrad, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import type { Entry, Fixture, Kinds } from './harness.ts';
import { hashTensor } from './hash.ts';

export const fileKinds: Kinds = { diffusers, checkpoints };

// ── diffusers ─────────────────────────────────────────

interface DiffusersEntry {
  config: Record<string, unknown>;
  directory?: string;
  hash_weights?: [name: string, shape: number[], ...rule: [center: number, scale: number] | ['from config']][];
}

function diffusers(entry: Entry, fixture: Fixture): void {
  const { directory } = entry.config as unknown as DiffusersEntry;
  const temporary = directory === undefined ? mkdtempSync(join(tmpdir(), 'rae-diffusers-')) : undefined;
  try {
    if (temporary !== undefined) writeFolder(temporary, entry.config as unknown as DiffusersEntry);
    const { rae } = loadModel(temporary ?? join(entry.dir, directory!), { need: 'rae' });
    noGrad(() =>
      tidy(() => {
        if (fixture.has('debug/decoder_pos_embed'))
          expect(rae.decoder.decoder_pos_embed.sub(fixture.get('debug/decoder_pos_embed')).abs().max().item()).toBe(0);
        fixture.expectClose('outputs/latent', rae.encode(fixture.get('inputs/image')));
        fixture.expectClose('outputs/image', rae.decode(fixture.get('outputs/latent')));
        return undefined;
      }),
    );
    rae.dispose();
  } finally {
    if (temporary !== undefined) rmSync(temporary, { recursive: true });
  }
}

/** The folder that diffusers would have saved, its weights drawn by their names. */
function writeFolder(folder: string, { config, hash_weights = [] }: DiffusersEntry): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ _class_name: 'AutoencoderRAE', ...config }));
  const buffers: Record<string, unknown> = {
    encoder_mean: config.encoder_norm_mean ?? [0.485, 0.456, 0.406],
    encoder_std: config.encoder_norm_std ?? [0.229, 0.224, 0.225],
    _latents_mean: config.latents_mean ?? [0],
    _latents_std: config.latents_std ?? [1],
  };
  const make = (name: string, shape: number[], center: number | string, scale: number | undefined): Tensor =>
    typeof center === 'number'
      ? hashTensor(name, shape, { center, scale: scale! })
      : tensor([buffers[name]].flat(9) as number[], { shape, dtype: 'f32' });
  tidy(() => {
    const state = new Map(hash_weights.map(([name, shape, center, scale]) => [name, make(name, shape, center, scale)]));
    saveSafetensors(join(folder, 'diffusion_pytorch_model.safetensors'), state);
    return undefined;
  });
}

// ── checkpoints ───────────────────────────────────────

interface CheckpointsEntry {
  directory: string;
  files: string[];
  scalars: Record<string, Record<string, unknown>>;
}

function checkpoints(entry: Entry, fixture: Fixture): void {
  const { directory, files, scalars } = entry.config as unknown as CheckpointsEntry;
  const stored = readSafetensorsRaw(fixture.path);
  for (const file of files) {
    const path = join(entry.dir, directory, file);
    const root = readTorch(path);
    const found = collectTensors(root, { name: path });
    const prefix = `outputs/${file}/`;
    const wanted = [...stored].filter(([name]) => name.startsWith(prefix));
    expect(
      [...found.keys()].filter((key) => !scalarTensor(found.get(key)!.shape, wanted, prefix + key)).sort(),
    ).toEqual(wanted.map(([name]) => name.slice(prefix.length)).sort());
    for (const [name, want] of wanted) {
      const got = materialise(found.get(name.slice(prefix.length))!, path);
      expect([got.dtype, got.shape], name).toEqual([want.dtype, want.shape]);
      expect(Buffer.compare(got.data, want.data), name).toBe(0);
    }
    for (const [where, value] of Object.entries(scalars[file] ?? {})) expect(at(root, where), where).toBe(value);
    for (const mmap of [false, true]) {
      tidy(() => {
        const real = wanted.filter(([, { dtype }]) => !['i8', 'i16', 'c64', 'c128'].includes(dtype));
        const tensors = loadTorch(path, { mmap, widen: true });
        for (const [name, { data }] of real)
          expect(Buffer.compare(tensors.get(name.slice(prefix.length))!.toBytes(), data), name).toBe(0);
        return undefined;
      });
    }
  }
}

/** The entry stores no tensors of zero dimensions (steps of an optimiser). */
function scalarTensor(shape: readonly number[], wanted: readonly [string, unknown][], name: string): boolean {
  return shape.length === 0 && !wanted.some(([key]) => key === name);
}

/** The value at `a.b[0].c`. */
function at(root: PyValue, path: string): unknown {
  const keys = path.split(/[.[\]]+/).filter((key) => key !== '');
  return keys.reduce<unknown>(
    (value, key) => (Array.isArray(value) ? value[Number(key)] : (value as Map<string, unknown>).get(key)),
    root,
  );
}
