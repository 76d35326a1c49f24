import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { saveSafetensors } from '../io/safetensors.ts';
import { saveTorch } from '../io/torch-pickle/index.ts';
import { dinov2, Encoder, type EncoderSpec, mae, siglip2 } from '../models/encoders/index.ts';
import { MaskedAutoencoder } from '../models/mae.ts';
import { noGrad, ones, randn, type Tensor } from '../tensor/index.ts';
import { type KeyTable, translateBack } from './key-table.ts';
import { loadEncoder, saveEncoder } from './load-encoder.ts';
import { dinov2Table, maeTable, siglipTable } from './vit-tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-encoder-'));
afterAll(() => rmSync(folder, { recursive: true }));

const size = { width: 16, depth: 2, heads: 2, hidden: 32, patch: 4, imageSize: 12 };
const pixels = randn([1, 3, 12, 12]);
const tokens = (encoder: Encoder) => noGrad(() => encoder.forward(pixels).toNumbers());

/** Writes an encoder as Hugging Face would, with the extra keys given. */
function writeTheirs(
  name: string,
  spec: EncoderSpec,
  { table, prefix = '', extra = {} }: { table: KeyTable; prefix?: string; extra?: Record<string, Tensor> },
) {
  const encoder = new Encoder(spec);
  const theirs = new Map(
    [...translateBack(table, encoder.vit.stateDict())].map(([key, t]) => [prefix + key, t.contiguous()]),
  );
  for (const [key, t] of Object.entries(extra)) theirs.set(key, t);
  const path = join(folder, name);
  saveSafetensors(path, theirs);
  return { encoder, path };
}

test.each([
  [
    'dinov2',
    dinov2({ ...size, normalize: false }),
    { table: dinov2Table, extra: { 'embeddings.mask_token': ones([1, 16]) } },
  ],
  [
    'siglip2',
    siglip2({ ...size, normalize: false }),
    { table: siglipTable, prefix: 'vision_model.', extra: { logit_scale: ones([1]) } },
  ],
  [
    'mae',
    mae({ ...size, normalize: false }),
    { table: maeTable, prefix: 'vit.', extra: { 'decoder.mask_token': ones([1]) } },
  ],
] as const)('a %s file is recognised by its keys and its sizes are read off its tensors', (name, spec, how) => {
  const { encoder, path } = writeTheirs(`${name}.safetensors`, spec, how);
  const loaded = loadEncoder(path, { heads: 2, normalize: false });
  expect(loaded.spec).toEqual(spec);
  expect(tokens(loaded)).toEqual(tokens(encoder));
});

test('an encoder is loaded frozen, and without the affine part of its final norm', () => {
  const { path } = writeTheirs('plain.safetensors', mae({ ...size, normalize: false }), { table: maeTable });
  const loaded = loadEncoder(path, { heads: 2 });
  expect([...loaded.stateDict().keys()].filter((key) => key.startsWith('vit.norm'))).toEqual([]);
  expect(loaded.training || loaded.parameters().some((p) => p.requiresGrad)).toBe(false);
});

test('a folder gives heads, epsilon and pixel moments through its JSON files', () => {
  writeTheirs('model.safetensors', dinov2({ ...size, eps: 1e-5, normalize: false }), { table: dinov2Table });
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ num_attention_heads: 4, layer_norm_eps: 1e-5 }));
  writeFileSync(
    join(folder, 'preprocessor_config.json'),
    JSON.stringify({ image_mean: [0.1, 0.2, 0.3], image_std: [1, 1, 1] }),
  );
  const { spec } = loadEncoder(folder, { mean: undefined });
  expect([spec.vit.heads, spec.vit.eps, spec.mean]).toEqual([4, 1e-5, [0.1, 0.2, 0.3]]);
});

test('a folder may hold PyTorch files instead, in one piece or in shards with an index', () => {
  const encoder = new Encoder(dinov2({ ...size, normalize: false }));
  const theirs = [...translateBack(dinov2Table, encoder.vit.stateDict())];
  const [whole, sharded] = ['bin', 'shards'].map((name) => join(folder, name)) as [string, string];
  saveTorch(join(whole, 'pytorch_model.bin'), new Map(theirs));
  const files = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin'];
  for (const [i, file] of files.entries())
    saveTorch(join(sharded, file), new Map(theirs.filter((_, n) => n % 2 === i)));
  const map = Object.fromEntries(theirs.map(([key], n) => [key, files[n % 2]]));
  writeFileSync(join(sharded, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map: map }));
  for (const path of [whole, join(whole, 'pytorch_model.bin'), sharded]) {
    const loaded = loadEncoder(path, { heads: 2, normalize: false });
    expect(tokens(loaded)).toEqual(tokens(encoder));
  }
  rmSync(join(sharded, files[1]!));
  expect(() => loadEncoder(sharded)).toThrow(/shard .*00002-of-00002\.bin: cannot be read \(no such file\)/);
});

test('the encoder of a masked autoencoder is saved with its specification and loads as it was', () => {
  const vit = { ...mae({ ...size, normalize: false }).vit };
  const pretrained = new MaskedAutoencoder({ encoder: vit, decoder: { width: 16, depth: 1, heads: 2 } });
  const path = join(folder, 'own.safetensors');
  saveEncoder(path, pretrained.encoder, { family: 'vit', vit, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2] });
  const loaded = loadEncoder(path, { normalize: false });
  expect(loaded.spec).toEqual({ family: 'vit', vit, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2] });
  expect(tokens(loaded)).toEqual(noGrad(() => pretrained.encoder.forward(pixels).slice(1, 1).toNumbers()));
  expect(loadEncoder(path).spec.vit.finalNorm).toBe('plain');
});

test('a file that holds no encoder, a key that has no place, and a missing path are refused with a reason', () => {
  const path = join(folder, 'other.safetensors');
  saveSafetensors(path, new Map([['x', ones([2])]]));
  expect(() => loadEncoder(path)).toThrow(/expected the tensors of a ViT .*received 1 keys, the first 'x'/);
  const odd = writeTheirs('odd.safetensors', mae(size), {
    table: maeTable,
    extra: { 'encoder.layer.0.extra.weight': ones([1]) },
  });
  expect(() => loadEncoder(odd.path, { heads: 2 })).toThrow(/Unexpected \(1\): 'encoder\.layer\.0\.extra\.weight'/);
  expect(() => loadEncoder(join(folder, 'absent'))).toThrow(/does not exist/);
});
