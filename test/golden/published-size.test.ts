// Models of published size with random weights in the published layouts: written, loaded strictly, run once on the CPU, one at a time.
// Takes minutes and some GB of disk and memory, so it runs only where RAE_FIXTURES has their layouts and RAE_PUBLISHED_SIZE names which:
// all, or some of ditdh-XL-256, decoder-ViTXL-c768-n256, dinov2-with-registers-base, dinov2-with-registers-large.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadGenerator } from '../../src/inference/build.ts';
import { loadTensorFile, saveSafetensors, saveTorch } from '../../src/io/index.ts';
import { Decoder } from '../../src/models/decoder.ts';
import { skipInit } from '../../src/nn/index.ts';
import { dispose, full, noGrad, randn, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { decoderOptions, loadDecoderState, loadEncoder } from '../../src/weights/index.ts';
import { type Entry, readManifest } from './harness.ts';

const asked = process.env.RAE_PUBLISHED_SIZE ?? '';
const names = [
  'ditdh-XL-256',
  'decoder-ViTXL-c768-n256',
  'dinov2-with-registers-base',
  'dinov2-with-registers-large',
] as const;

/** Writes a file of random tensors with the entry's names and shapes; PyTorch's container for the decoder and DiT, as published. */
function write(entry: Entry, path: string): void {
  const { keys } = JSON.parse(readFileSync(join(entry.dir, entry.file!), 'utf8')) as { keys: [string, number[]][] };
  const random = (shape: number[]) => ({
    dtype: 'f32' as const,
    shape,
    toBytes: () => tidy(() => randn(shape).mul_(0.02).toBytes()),
  });
  const state = new Map(keys.map(([key, shape]) => [key, random(shape)]));
  if (path.endsWith('.pt')) saveTorch(path, state);
  else saveSafetensors(path, state);
}

function finite(t: Tensor, shape: number[]): void {
  expect(t.shape).toEqual(shape);
  expect(Number.isFinite(t.abs().max().item())).toBe(true);
}

function run(name: string, entry: Entry, path: string): void {
  const config = entry.config as Record<string, number>;
  if (name.startsWith('dinov2')) {
    const encoder = loadEncoder(path);
    finite(encoder.forward(randn([1, 3, 224, 224])), [1, 256, config.hidden_size!]);
    encoder.dispose();
    return;
  }
  if (name.startsWith('decoder')) {
    const state = loadTensorFile(path, { mmap: true });
    const sizes = { channels: config.hidden_size!, patch: config.patch_size!, tokens: config.num_patches! };
    const decoder = skipInit(() => new Decoder(decoderOptions(config, sizes)));
    loadDecoderState(decoder, state);
    finite(decoder.unpatchify(decoder.forward(randn([1, 256, 768]))), [1, 3, 256, 256]);
    decoder.dispose();
    dispose(state);
  } else {
    const stage_2 = { target: 'DiTwDDTHead', params: entry.config };
    const model = loadGenerator({ stage_2 } as never, path);
    finite(model.forward(randn([1, 768, 16, 16]), full([1], 0.5), tensor([3], { dtype: 'i64' })), [1, 768, 16, 16]);
    model.dispose();
  }
}

for (const name of names)
  test(`${name} loads strictly and runs once`, { timeout: 900_000 }, (context) => {
    const entry = readManifest('models')?.find((e) => e.name === `state-dict-${name}`);
    if (asked !== 'all' && !asked.split(',').includes(name)) context.skip('RAE_PUBLISHED_SIZE does not name it');
    if (!entry?.file || !existsSync(join(entry.dir, entry.file))) return context.skip('not in this folder of fixtures');
    const folder = mkdtempSync(join(tmpdir(), 'rae-published-'));
    try {
      const path = join(folder, name.startsWith('dinov2') ? 'model.safetensors' : 'model.pt');
      write(entry, path);
      const started = performance.now();
      tidy(() => {
        noGrad(() => run(name, entry, path));
        return undefined;
      });
      const seconds = (performance.now() - started) / 1000;
      const gigabytes = (statSync(path).size / 1e9).toFixed(2);
      console.log(`${name}: ${gigabytes} GB loaded and run in ${seconds.toFixed(1)} s`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
