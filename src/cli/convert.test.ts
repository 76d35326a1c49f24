import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureOutput, err, out } from '../../test/capture.ts';
import { requirePython, runPython } from '../../test/python.ts';
import { formatConfig, resolveConfig } from '../config/index.ts';
import { loadModel } from '../inference/load-model.ts';
import { readTensors } from '../inference/tensors.ts';
import { loadTorch, readTorch, saveSafetensors, saveTorch } from '../io/index.ts';
import { Decoder } from '../models/decoder.ts';
import { deit, dinov2, Encoder, type EncoderSpec } from '../models/encoders/index.ts';
import { createStage2 } from '../models/stage2.ts';
import { Generator, noGrad, randn, type Tensor, tidy } from '../tensor/index.ts';
import { saveEncoder, translateBack } from '../weights/index.ts';
import { dinov2Table } from '../weights/vit-tables.ts';
import { main } from './main.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-convert-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

captureOutput();

async function convert(...args: string[]): Promise<void> {
  const code = await main(['convert', ...args]);
  expect([code, code === 0 ? '' : err]).toEqual([0, '']);
}

// ── a model in the reference's layout: latents [64, 2, 2] of pictures of 28, made into pictures of 8 ──
const random = new Generator(7);
const spec = dinov2({ width: 64, depth: 1, heads: 1, normalize: false });
const decoderSizes = { channels: 64, width: 16, depth: 1, heads: 2, hidden: 24, patch: 4, tokens: 4 };
const dit = { input_size: 2, in_channels: 64, hidden_size: [16, 24], depth: [1, 1], num_heads: [2, 2], num_classes: 3 };
const originals: Record<'encoder' | 'decoder' | 'dit', Map<string, Tensor>> = {} as never;

/** Every tensor random, those that begin as zeros or a fixed table too. */
function scrambled(state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...state].map(([key, t]) => [key, randn(t.shape, { generator: random })]));
}

beforeAll(() => {
  mkdirSync(at('ref', 'encoder'), { recursive: true });
  const encoder = translateBack(dinov2Table, scrambled(new Encoder(spec).vit.stateDict()));
  encoder.set('embeddings.mask_token', randn([1, 64]));
  originals.encoder = encoder;
  originals.decoder = scrambled(new Decoder(decoderSizes).stateDict());
  originals.dit = scrambled(
    createStage2({ target: 'stage2.models.DDT.DiTwDDTHead', params: dit as never }).stateDict(),
  );
  saveSafetensors(at('ref/encoder/model.safetensors'), encoder);
  writeFileSync(at('ref/encoder/config.json'), JSON.stringify({ num_attention_heads: 1, layer_norm_eps: 1e-6 }));
  writeFileSync(
    at('ref/encoder/preprocessor_config.json'),
    JSON.stringify({ image_mean: [0.5, 0.4, 0.3], image_std: [0.25, 0.5, 1] }),
  );
  saveTorch(at('ref/model.pt'), originals.decoder);
  saveTorch(at('ref/stage2_model.pt'), originals.dit);
  saveTorch(at('ref/stat.pt'), { mean: null, var: randn([64, 2, 2]).square().add(0.1) });
  writeFileSync(at('ref/config.yaml'), formatConfig(config({ stage_2: true })));
});

function config({ stage_2 = false, encoder = 'encoder' } = {}) {
  const { width, depth, heads, hidden } = decoderSizes;
  const params = {
    encoder_config_path: encoder,
    encoder_input_size: 28,
    decoder_config: {
      decoder_hidden_size: width,
      decoder_num_hidden_layers: depth,
      decoder_num_attention_heads: heads,
      decoder_intermediate_size: hidden,
    },
    decoder_patch_size: 4,
    pretrained_decoder_path: 'model.pt',
    normalization_stat_path: 'stat.pt',
    noise_tau: 0,
  };
  const generator = { target: 'stage2.models.DDT.DiTwDDTHead' as const, params: dit as never, ckpt: 'stage2_model.pt' };
  const misc = { time_dist_shift_base: 64 };
  return resolveConfig({
    stage_1: { params },
    ...(stage_2 && { stage_2: generator, misc }),
    data: { image_size: 8 },
  });
}

/** Same names, shapes, dtypes and bits. */
function expectSame(path: string, wanted: ReadonlyMap<string, Tensor>): void {
  tidy(() => {
    const found = readTensors(path);
    expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [key, t] of wanted) {
      expect([found.get(key)!.dtype, found.get(key)!.shape], key).toEqual([t.dtype, t.shape]);
      expect(Buffer.compare(found.get(key)!.toBytes(), t.toBytes()), key).toBe(0);
    }
    return undefined;
  });
}

test('reference to ours to reference gives the same bits, and ours works on the way', async () => {
  await convert(at('ref/config.yaml'), at('ours'), '--to', 'safetensors');
  expect(readdirSync(at('ours')).sort()).toEqual(
    ['config.yaml', 'decoder.safetensors', 'dit.safetensors', 'encoder.safetensors', 'stats.safetensors'].sort(),
  );
  const [a, b] = ['ref/config.yaml', 'ours'].map((name) => loadModel(at(name), { need: 'generator' }));
  expect(b!.rae.encoder.spec.mean).toEqual([0.5, 0.4, 0.3]);
  noGrad(() =>
    tidy(() => {
      const pixels = randn([2, 3, 28, 28]);
      expect(a!.rae.forward(pixels).sub(b!.rae.forward(pixels)).abs().max().item()).toBe(0);
      return undefined;
    }),
  );
  await convert(at('ours'), at('again'), '--to', 'reference');
  expectSame(at('again/encoder/model.safetensors'), originals.encoder);
  expectSame(at('again/model.pt'), originals.decoder);
  expectSame(at('again/stage2_model.pt'), originals.dit);
  expect((readTorch(at('again/stat.pt')) as Map<string, unknown>).get('mean')).toBe(null);
  tidy(() => expectSame(at('again/stat.pt'), loadTorch(at('ref/stat.pt'))));
  const loaded = loadModel(at('again/config.yaml'), { need: 'generator' });
  expect(loaded.rae.encoder.spec.mean).toEqual([0.5, 0.4, 0.3]);
});

test('diffusers to ours to diffusers gives the same file, also where it left its position table out', async () => {
  await convert(at('ref/config.yaml'), at('hf'), '--to', 'diffusers');
  expect(out).toMatch(/note: diffusers computes the decoder's position table anew/);
  expect(out).toMatch(/the generator stays behind/);
  const file = 'diffusion_pytorch_model.safetensors';
  tidy(() => {
    const tensors = readTensors(at('hf', file));
    tensors.delete('decoder.decoder_pos_embed'); // as diffusers itself writes it
    mkdirSync(at('hf-own'));
    saveSafetensors(at('hf-own', file), tensors, { format: 'pt' });
    writeFileSync(at('hf-own/config.json'), readFileSync(at('hf/config.json')));
    return undefined;
  });
  for (const name of ['hf', 'hf-own']) {
    await convert(at(name), at(`${name}-ours`), '--to', 'safetensors');
    await convert(at(`${name}-ours`), at(`${name}-again`), '--to', 'diffusers');
    expect(readFileSync(at(`${name}-again`, file)).equals(readFileSync(at(name, file)))).toBe(true);
    expect(JSON.parse(readFileSync(at(`${name}-again`, 'config.json'), 'utf8'))).toEqual(
      JSON.parse(readFileSync(at(name, 'config.json'), 'utf8')),
    );
  }
});

test('ours to PyTorch and back gives the same bits', async (context) => {
  const python = requirePython(context);
  await convert(at('ref/config.yaml'), at('dit.pt'), '--to', 'pt', '--part', 'dit');
  const program = `import sys, torch; torch.save(torch.load(sys.argv[1], weights_only=True), sys.argv[2]); print(1)`;
  runPython(python, program, [at('dit.pt'), at('dit-torch.pt')]);
  await convert(at('dit-torch.pt'), at('dit-back.safetensors'), '--to', 'safetensors');
  expectSame(at('dit-back.safetensors'), originals.dit);
});

test('of a training checkpoint the average or the trained weights are taken, without wrappers, and --dtype applies', async () => {
  const wrapped = (state: ReadonlyMap<string, Tensor>) =>
    new Map([...state].map(([key, t]) => [`_orig_mod.module.${key}`, t]));
  const trained = tidy(() => scrambled(originals.dit));
  const extra = { step: 3, epoch: 1, optimizer: { state: {}, param_groups: [] } };
  mkdirSync(at('training'));
  saveTorch(at('training/ep-0000002.pt'), { model: wrapped(originals.dit) });
  saveTorch(at('training/ep-0000010.pt'), { ...extra, model: wrapped(trained), ema: wrapped(originals.dit) });
  await convert(at('training'), at('ema.pt'), '--to', 'reference');
  expectSame(at('ema.pt'), originals.dit);
  await convert(at('training/ep-0000010.pt'), at('raw.pt'), '--to', 'reference', '--part', 'dit', '--raw');
  expectSame(at('raw.pt'), trained);
  await convert(at('ema.pt'), at('half.safetensors'), '--to', 'safetensors', '--dtype', 'bf16');
  tidy(() => expectSame(at('half.safetensors'), new Map([...originals.dit].map(([key, t]) => [key, t.to('bf16')]))));
});

test("a whole RAE comes out as the reference's trainer names it, and its decoder out of that", async () => {
  await convert(at('ref/config.yaml'), at('whole.pt'), '--to', 'pt', '--part', 'rae');
  const keys = tidy(() => [...loadTorch(at('whole.pt')).keys()]);
  expect(keys).toContain('encoder.encoder.encoder.layer.0.attention.attention.query.weight');
  expect(keys).toContain('decoder.decoder_embed.weight');
  await convert(at('whole.pt'), at('decoder.pt'), '--to', 'reference', '--part', 'decoder');
  expectSame(at('decoder.pt'), originals.decoder);
});

test('statistics of diffusers become a variance of the same deviation', async () => {
  await convert(at('ref/config.yaml'), at('hf2'), '--to', 'diffusers');
  await convert(at('hf2'), at('stat2.pt'), '--to', 'reference', '--part', 'stats');
  tidy(() => {
    const [a, b] = ['ref/stat.pt', 'stat2.pt'].map((name) => loadTorch(at(name)).get('var')!);
    expect(a!.sub(b!).abs().max().item()).toBeLessThan(2e-6);
    return undefined;
  });
});

// ── what cannot be ────────────────────────────────────

function foreign(): string {
  const vit: EncoderSpec = deit({ width: 64, depth: 1, heads: 1, patch: 14, imageSize: 28 });
  mkdirSync(at('foreign'), { recursive: true });
  saveEncoder(at('foreign/encoder.safetensors'), new Encoder(vit).vit, vit);
  writeFileSync(at('foreign/config.yaml'), formatConfig(config({ encoder: 'encoder.safetensors' })));
  saveSafetensors(at('foreign/decoder.safetensors'), originals.decoder);
  return at('foreign');
}

test.each<[string, () => string[], RegExp]>([
  [
    'an OUT that is there',
    () => [at('ref/model.pt'), at('ref/stat.pt'), '--to', 'pt'],
    /OUT: expected a path where nothing is.*--force/,
  ],
  ['IN as OUT', () => [at('ref/model.pt'), at('ref/model.pt'), '--to', 'pt', '--force'], /another place than IN/],
  [
    'a folder of something else',
    () => [at('ref/model.pt'), at('ref/encoder'), '--to', 'pt', '--force'],
    /an OUT that holds a model/,
  ],
  ['nothing as IN', () => [at('absent'), at('x.pt'), '--to', 'pt'], /an existing model or file/],
  [
    'a lone file for diffusers',
    () => [at('ref/model.pt'), at('x'), '--to', 'diffusers'],
    /a model with its configuration.*pretrained_decoder_path/,
  ],
  [
    'a generator for diffusers',
    () => [at('ref/config.yaml'), at('x'), '--to', 'diffusers', '--part', 'dit'],
    /AutoencoderRAE has no file for it/,
  ],
  [
    'a whole model as one .pt',
    () => [at('ref/config.yaml'), at('x.pt'), '--to', 'pt'],
    /expected --part, one of decoder, dit, rae, stats/,
  ],
  [
    'a file as the folder of a model',
    () => [at('ref/config.yaml'), at('x.pt'), '--to', 'reference'],
    /a folder for a whole model/,
  ],
  [
    'a part that is not there',
    () => [at('ref/model.pt'), at('x.pt'), '--to', 'pt', '--part', 'dit'],
    /--part: expected one of decoder, received 'dit'/,
  ],
  [
    '--raw of a flat file',
    () => [at('ref/model.pt'), at('x.pt'), '--to', 'pt', '--raw'],
    /--raw: expected a checkpoint with 'model'.*one set/,
  ],
  ['another ending', () => [at('ref/model.pt'), at('x.zip'), '--to', 'pt'], /a name ending in \.pt, \.pth, \.bin/],
  [
    'an encoder that others lack',
    () => [foreign(), at('x'), '--to', 'diffusers'],
    /an encoder of DINOv2, SigLIP2 or MAE, received 'deit'.*--part decoder/,
  ],
])('%s is refused with its reason, and nothing is written', async (_, args, reason) => {
  const code = await main(['convert', ...args()]);
  expect([code > 0, err]).toEqual([true, expect.stringMatching(reason)]);
  expect(readdirSync(folder).filter((name) => name.startsWith('x') || name.endsWith('.tmp'))).toEqual([]);
});

test('--force replaces a model, whole', async () => {
  await convert(at('ref/config.yaml'), at('forced'), '--to', 'safetensors');
  await convert(at('ref/config.yaml'), at('forced'), '--to', 'diffusers', '--force');
  expect(readdirSync(at('forced')).sort()).toEqual(['config.json', 'diffusion_pytorch_model.safetensors']);
  expect(existsSync(at('ref/config.yaml'))).toBe(true);
});
