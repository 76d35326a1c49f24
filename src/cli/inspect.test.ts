import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { afterAll, expect, test } from 'vitest';
import { npyPieces } from '../io/npy.ts';
import { saveNpz } from '../io/npz.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import { saveTorch } from '../io/torch-pickle/index.ts';
import { deit, Encoder } from '../models/encoders/index.ts';
import { createStage2 } from '../models/stage2.ts';
import { full, ones, type Tensor, zeros } from '../tensor/index.ts';
import { saveEncoder } from '../weights/index.ts';
import { collapse } from './inspect.ts';
import { compareFiles, comparisonText } from './inspect-diff.ts';
import { countBytes, countElements, listTensors } from './inspect-file.ts';
import { recognise } from './inspect-what.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-inspect-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const saved = (name: string, tensors: Record<string, Tensor>, metadata?: Record<string, string>) => {
  saveSafetensors(at(name), new Map(Object.entries(tensors)), metadata);
  return at(name);
};
const whatIs = (path: string) => recognise(listTensors(path), path);

test('tensors, metadata and sizes come from the header', () => {
  const path = saved('a.safetensors', { b: zeros([2, 3]), a: zeros([4], { dtype: 'bf16' }) }, { step: '7' });
  const { format, tensors, metadata } = listTensors(path);
  expect([format, metadata, countElements(tensors), countBytes(tensors)]).toEqual([
    'safetensors',
    { step: '7' },
    10,
    32,
  ]);
  expect(tensors).toContainEqual({ name: 'a', dtype: 'bf16', shape: [4] });
});

test('the arrays of an archive are listed without unpacking it, deflated or not', () => {
  const data = new Uint8Array(4_000_000); // deflates to almost nothing
  saveNpz(at('stored.npz'), new Map([['arr_0', { dtype: 'u8', shape: [1000, 4000], data }]]));
  const npy = Buffer.concat(npyPieces({ dtype: 'u8', shape: [1000, 4000], data }));
  writeFileSync(at('deflated.npz'), zipSync({ 'arr_0.npy': npy }));
  for (const name of ['stored.npz', 'deflated.npz']) {
    expect(listTensors(at(name)).tensors).toEqual([{ name: 'arr_0', dtype: 'u8', shape: [1000, 4000] }]);
  }
});

test('what is no file of tensors is refused, with what it is', () => {
  writeFileSync(at('page'), '<!doctype html><title>404</title>');
  expect(() => listTensors(at('page'))).toThrow(/expected a file of tensors .*, received an HTML page/);
});

test('encoders, generators, statistics, optimisers and pictures are recognised', () => {
  const encoder = new Encoder(deit({ width: 16, depth: 1, heads: 2, hidden: 32, patch: 4, imageSize: 8 }));
  saveEncoder(at('encoder.safetensors'), encoder.vit, encoder.spec);
  expect(whatIs(at('encoder.safetensors')).what).toBe(
    'encoder (deit): 16 wide, 1 layers, patches of 4, trained at 8 x 8',
  );
  saveSafetensors(at('timm.safetensors'), encoder.vit.stateDict());
  expect(whatIs(at('timm.safetensors')).what).toBe('encoder (deit)');

  const target = 'stage2.models.DDT.DiTwDDTHead';
  const params = {
    input_size: 2,
    in_channels: 16,
    hidden_size: [16, 24],
    depth: [1, 1],
    num_heads: [2, 2],
    num_classes: 3,
  };
  const state = createStage2({ target, params }).stateDict();
  saveSafetensors(at('dit.safetensors'), state);
  expect(whatIs(at('dit.safetensors')).what).toBe('generator (DiT^DH) for latents of 16 channels, 3 classes');
  saveSafetensors(at('training.safetensors'), new Map([...state].map(([key, t]) => [`ema/${key}`, t])));
  expect(whatIs(at('training.safetensors')).what).toMatch(/^training checkpoint \(ema\) of: generator/);

  const moments = { mean: zeros([2, 1, 1]), var: zeros([2, 1, 1]) };
  expect(whatIs(saved('stats.safetensors', moments)).what).toBe('statistics of latents');
  expect(whatIs(saved('opt.safetensors', { 'exp_avg.w': zeros([1]) })).what).toBe('state of an AdamW optimiser');
  const pictures = { dtype: 'u8' as const, shape: [1, 2, 2, 3], data: new Uint8Array(12) };
  saveNpz(at('batch.npz'), new Map([['arr_0', pictures]]));
  expect(whatIs(at('batch.npz')).what).toBe('a batch of 1 pictures of 2 x 2');
  expect(whatIs(saved('odd.safetensors', { x: zeros([1]) })).what).toBe('tensors of a kind unknown to rae');
});

test("the reference's and diffusers' files are named, with the command that converts them", () => {
  const f32 = (names: string[]) => Object.fromEntries(names.map((name) => [name, zeros([2, 2])]));
  const decoder = ['decoder_embed.weight', 'trainable_cls_token'];
  saveTorch(at('model.pt'), f32(decoder));
  saveTorch(at('stat.pt'), { mean: null, var: zeros([2, 1, 1]) });
  const whole = f32(['encoder.x', 'decoder.decoder_pred.weight', ...decoder.map((name) => `decoder.${name}`)]);
  saveTorch(at('ep-0000002.pt'), { step: 4, model: whole, ema: whole, disc: f32(['heads.0']) });
  saved(
    'hf.safetensors',
    f32(['_latents_std', 'decoder.decoder_embed.weight', 'decoder.decoder_layers.0.attention.to_q.weight']),
  );
  expect(whatIs(at('model.pt'))).toMatchObject({
    what: 'decoder of an RAE for latents of 2 channels',
    convert: `rae convert ${at('model.pt')} decoder.safetensors --to safetensors --part decoder`,
  });
  expect(whatIs(at('stat.pt')).what).toBe('statistics of latents (no mean: latents are only scaled)');
  const training = whatIs(at('ep-0000002.pt'));
  expect(training.what).toBe('training checkpoint (model, ema, disc) of: a whole RAE, encoder and decoder');
  expect(training.convert).toMatch(/--to reference --part decoder \(--raw: the trained weights, not the average\)$/);
  expect(whatIs(at('hf.safetensors'))).toMatchObject({
    what: 'AutoencoderRAE of diffusers: encoder, decoder and statistics for latents of 2 channels',
    convert: `rae convert ${folder} MODEL --to safetensors (or reference)`,
  });
});

test('repeated blocks share a line', () => {
  const entry = (name: string, shape = [2]) => ({ name, dtype: 'f32' as const, shape });
  const lines = collapse([
    entry('x'),
    ...[0, 1, 2, 4].map((i) => entry(`blocks.${i}.w.0.b`)),
    entry('blocks.3.w.0.b', [9]),
  ]);
  expect(lines.map(({ name, copies }) => [name, copies])).toEqual([
    ['x', 1],
    ['blocks.{0-2,4}.w.0.b', 4],
    ['blocks.3.w.0.b', 1],
  ]);
});

test('a comparison names what is missing, mis-shaped and different, and by how much', () => {
  const nan = full([1], Number.NaN);
  const a = saved('left.safetensors', { same: nan, value: zeros([4]), shape: zeros([2]), gone: zeros([1]) });
  const b = saved('right.safetensors', { same: nan, value: full([4], 0.5), shape: zeros([3]), extra: zeros([1]) });
  const found = compareFiles(a, b);
  expect(found).toMatchObject({ equal: false, same: 1, onlyA: ['gone'], onlyB: ['extra'] });
  expect(found.differences).toContainEqual({ name: 'value', how: '100 % of the values', largest: 0.5 });
  expect(found.differences).toContainEqual({ name: 'shape', how: 'shape [2] and [3]' });
  expect(comparisonText(found, 'a', 'b')).toMatch(/^1 tensors equal, 2 differ, 1 only in a, 1 only in b\n/);
  expect(comparisonText(compareFiles(a, a), 'a', 'a')).toBe('4 tensors, all equal');
});

test('a checkpoint is compared with a flat file by its network', () => {
  const nested = saved('nested.safetensors', { 'ema/w': ones([2]), 'model/w': zeros([2]) });
  const flat = saved('flat.safetensors', { '_orig_mod.w': ones([2]) });
  expect(compareFiles(nested, flat).equal).toBe(true);
});
