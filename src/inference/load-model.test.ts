import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatConfig, resolveConfig } from '../config/index.ts';
import { saveSafetensors } from '../io/safetensors.ts';
import { deit, Encoder } from '../models/encoders/index.ts';
import { createStage2 } from '../models/stage2.ts';
import {
  type Dtype,
  Generator,
  memoryStats,
  noGrad,
  ones,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from '../tensor/index.ts';
import { saveEncoder } from '../weights/index.ts';
import { decodeLatents, encodePictures } from './batches.ts';
import { buildRae, loadGenerator } from './build.ts';
import { labelled } from './generate.ts';
import { type LoadedGenerator, loadGuide, loadModel } from './load-model.ts';
import { modelParts } from './model-folder.ts';

// A stage-2 run with checkpoints at steps 10 and 20, as `rae train dit` leaves it: pictures of 8 x 8, latents [16, 2, 2].
const folder = mkdtempSync(join(tmpdir(), 'rae-model-'));
afterAll(() => rmSync(folder, { recursive: true }));
const run = join(folder, 'run');
const stage_1 = {
  params: {
    encoder_cls: 'ViTwNorm' as const,
    encoder_input_size: 8,
    decoder_patch_size: 4,
    decoder_config: {
      decoder_hidden_size: 16,
      decoder_num_hidden_layers: 1,
      decoder_num_attention_heads: 2,
      decoder_intermediate_size: 32,
    },
  },
};
const raeConfig = resolveConfig({ stage_1, data: { image_size: 8 } });
const config = resolveConfig({
  stage_1: {}, // the recipe of a generator need not know the decoder's sizes: rae.yaml does
  stage_2: {
    target: 'stage2.models.DDT.DiTwDDTHead',
    params: { input_size: 2, in_channels: 16, hidden_size: [16, 24], depth: [1, 1], num_heads: [2, 2], num_classes: 3 },
  },
  misc: { time_dist_shift_base: 64 },
  data: { image_size: 8 },
});
const encoder = new Encoder(deit({ width: 16, depth: 1, heads: 2, hidden: 32, patch: 4, imageSize: 8 }));
const stateOf = (seed: number) => createStage2(config.stage_2!, { generator: new Generator(seed) }).stateDict();
const save = (path: string, tensors: ReadonlyMap<string, Tensor>) => saveSafetensors(path, tensors);

beforeAll(() => {
  mkdirSync(run);
  writeFileSync(join(run, 'config.yaml'), formatConfig(config));
  writeFileSync(join(run, 'rae.yaml'), formatConfig(raeConfig));
  writeFileSync(join(run, 'classes.json'), '["a", "b", "c"]');
  saveEncoder(join(run, 'encoder.safetensors'), encoder.vit, encoder.spec);
  save(join(run, 'decoder.safetensors'), buildRae(raeConfig, { encoder }).decoder.stateDict());
  const shape = [16, 2, 2];
  const statistics = new Map([
    ['mean', zeros(shape)],
    ['var', ones(shape).mul(4)],
  ]);
  save(join(run, 'stats.safetensors'), statistics);
  for (const [step, seed] of [
    [10, 1],
    [20, 2],
  ] as const) {
    const checkpoint = join(run, 'checkpoints', `step-${String(step).padStart(7, '0')}`);
    mkdirSync(checkpoint, { recursive: true });
    save(join(checkpoint, 'ema.safetensors'), stateOf(seed));
    save(join(checkpoint, 'model.safetensors'), stateOf(seed + 10));
  }
  cpSync(join(run, 'checkpoints/step-0000010/ema.safetensors'), join(folder, 'guide.safetensors'));
});

/** Which of the saved generators was loaded. */
function seedOf(path: string, options: { raw?: boolean; weights?: string } = {}): number | undefined {
  const key = 'x_embedder.proj.weight';
  const { generator } = loadModel(path, { ...options, need: 'generator' });
  const own = generator.stateDict().get(key)!;
  return [1, 2, 11, 12].find((seed) => tidy(() => stateOf(seed).get(key)!.eq(own).all().item()) !== 0);
}

test.runIf(process.platform === 'linux')(
  'a generator lives in the pages of its file, half precision is widened, and nothing leaks',
  () => {
    const mapped = (path: string) => readFileSync('/proc/self/maps', 'utf8').includes(path);
    const saved = (name: string, dtype: Dtype, keys = 0) => {
      const path = join(folder, `${name}.safetensors`);
      tidy(() => save(path, new Map([...state].slice(keys).map(([key, t]) => [key, t.to(dtype)]))));
      return path;
    };
    const state = stateOf(5);
    const [whole, half, part] = [saved('whole', 'f32'), saved('half', 'f16'), saved('part', 'f32', 1)];
    const before = memoryStats().tensors;
    for (const path of [whole, half]) {
      const generator = tidy(() => loadGenerator(config, path));
      expect([mapped(path), generator.parameters()[0]!.dtype]).toEqual([path === whole, 'f32']);
      const sizeOf = (tensors: typeof state) => tidy(() => tensors.get('x_embedder.proj.weight')!.abs().sum().item());
      expect(sizeOf(generator.stateDict())).toBeCloseTo(sizeOf(state), 2);
      generator.dispose();
    }
    expect(() => loadGenerator(config, part)).toThrow(/Missing \(1\)/);
    expect([mapped(whole), mapped(part), memoryStats().tensors]).toEqual([false, false, before]);
  },
);

test('a run means the average of its newest checkpoint, --raw the trained weights', () => {
  expect(seedOf(run)).toBe(2);
  expect(seedOf(run, { raw: true })).toBe(12);
});

test('a checkpoint, or a file in it, means that one', () => {
  const old = join(run, 'checkpoints', 'step-0000010');
  expect(seedOf(old)).toBe(1);
  expect(seedOf(join(old, 'model.safetensors'))).toBe(11);
  expect(modelParts(old).step).toBe(10);
});

test('the best checkpoint, which training.keep_best leaves beside the numbered ones, means that one', () => {
  const best = join(run, 'checkpoints', 'best');
  cpSync(join(run, 'checkpoints/step-0000010'), best, { recursive: true });
  writeFileSync(join(best, 'state.json'), '{"step": 7}');
  expect(seedOf(best)).toBe(1);
  expect(seedOf(best, { raw: true })).toBe(11);
  expect(seedOf(run)).toBe(2);
  expect(modelParts(best).step).toBe(7);
});

test('--weights takes the place of the generator', () => {
  expect(seedOf(run, { weights: join(run, 'checkpoints/step-0000010/ema.safetensors') })).toBe(1);
});

test('a configuration names its parts, from the working directory or beside itself', () => {
  const { stage_2 } = config;
  const file = join(folder, 'model.yaml');
  const own = resolveConfig({
    stage_1: {
      params: {
        ...stage_1.params,
        encoder_config_path: 'run/encoder.safetensors',
        pretrained_decoder_path: join(run, 'decoder.safetensors'),
        normalization_stat_path: 'run/stats.safetensors',
      },
    },
    stage_2: { ...stage_2!, ckpt: 'run/checkpoints/step-0000010/ema.safetensors' },
    misc: { time_dist_shift_base: 64 },
  });
  writeFileSync(file, formatConfig(own));
  expect(seedOf(file)).toBe(1);
  expect(loadModel(file, { need: 'rae' }).normalized).toBe(true);
});

test('a folder of final weights without checkpoints is a model, and has no raw weights', () => {
  const shipped = join(folder, 'shipped');
  cpSync(run, shipped, { recursive: true });
  cpSync(join(run, 'checkpoints/step-0000010/ema.safetensors'), join(shipped, 'dit.safetensors'));
  rmSync(join(shipped, 'checkpoints'), { recursive: true });
  expect(seedOf(shipped)).toBe(1);
  expect(() => loadModel(shipped, { need: 'generator', raw: true })).toThrow(/--raw: expected a run with checkpoints/);
});

test('encoding needs no decoder, uses the statistics, and an encoder alone will do', () => {
  const pixels = randn([3, 3, 8, 8], { generator: new Generator(0) });
  const encode = (path: string) => encodePictures(loadModel(path, { need: 'encoder' }).rae, pixels);
  const [normalised, raw] = [encode(run), encode(join(run, 'encoder.safetensors'))];
  expect(loadModel(run, { need: 'encoder' })).toMatchObject({ side: 8, normalized: true, classes: ['a', 'b', 'c'] });
  const alone = join(folder, 'alone.safetensors');
  cpSync(join(run, 'encoder.safetensors'), alone);
  expect(loadModel(alone, { need: 'encoder' })).toMatchObject({ side: 8, normalized: false, config: undefined });
  expect(raw.sub(normalised).abs().max().item()).toBe(0); // a part of a run stands for the run
  expect(
    encode(alone)
      .sub(normalised.mul(Math.sqrt(4 + 1e-5)))
      .abs()
      .max()
      .item(),
  ).toBeLessThan(1e-5);
});

test('a picture is encoded and decoded the same in any company', () => {
  const { rae } = loadModel(run, { need: 'rae' });
  const pixels = randn([37, 3, 8, 8], { generator: new Generator(0) });
  const latents = encodePictures(rae, pixels);
  const pictures = decodeLatents(rae, latents);
  expect(pictures.shape).toEqual([37, 3, 8, 8]);
  const some = encodePictures(rae, pixels.narrow(0, 0, 5));
  expect(
    some
      .sub(latents.narrow(0, 0, 5))
      .abs()
      .max()
      .item(),
  ).toBe(0);
  const later = decodeLatents(rae, latents.narrow(0, 33, 3), { index: 33 });
  expect(
    later
      .sub(pictures.narrow(0, 33, 3))
      .abs()
      .max()
      .item(),
  ).toBe(0);
});

test('a guide is another run, one of its checkpoints, or a file for the same architecture', () => {
  const model = loadModel(run, { need: 'generator' });
  const old = join(run, 'checkpoints', 'step-0000010');
  for (const path of [old, join(folder, 'guide.safetensors')]) {
    const { generator } = loadGuide(path, model);
    expect(
      generator.stateDict().get('x_embedder.proj.weight')!.eq(stateOf(1).get('x_embedder.proj.weight')!).all().item(),
    ).toBe(1);
  }
});

test.each([
  ['nowhere', /--model: expected an existing run directory or file, received '.*nowhere'/],
  ['.', /--model: expected config\.yaml in '.*', received none\. Name a run directory/],
  [
    'guide.safetensors',
    /expected config\.yaml beside '.*', received none\. Give the configuration here and this file with --weights/,
  ],
])('%s is no model, and the message says why', (name, message) => {
  expect(() => loadModel(join(folder, name), { need: 'generator' })).toThrow(message);
});

test('a stage-1 run has no generator', () => {
  const stage1 = join(folder, 'stage1');
  cpSync(run, stage1, { recursive: true });
  writeFileSync(join(stage1, 'config.yaml'), formatConfig(raeConfig));
  rmSync(join(stage1, 'checkpoints'), { recursive: true });
  expect(() => loadModel(stage1, { need: 'generator' })).toThrow(
    /expected a model with a generator, received '.*' without one/,
  );
  rmSync(join(stage1, 'decoder.safetensors'));
  expect(() => loadModel(stage1, { need: 'rae' })).toThrow(/with a decoder.*Train it with `rae train rae`/);
});

test('parts that do not fit each other are refused', () => {
  const odd = join(folder, 'odd');
  cpSync(run, odd, { recursive: true });
  const wider = resolveConfig({
    ...config,
    stage_2: { ...config.stage_2!, params: { ...config.stage_2!.params, in_channels: 12 } },
    misc: { time_dist_shift_base: 48, num_classes: 3 },
  } as Parameters<typeof resolveConfig>[0]);
  writeFileSync(join(odd, 'config.yaml'), formatConfig(wider));
  rmSync(join(odd, 'checkpoints'), { recursive: true });
  save(join(odd, 'dit.safetensors'), createStage2(wider.stage_2!).stateDict());
  expect(() => loadModel(odd, { need: 'generator' })).toThrow(
    '--model: expected a generator of latents [16, 2, 2], received one of [12, 2, 2].',
  );
});

test('a model loaded for bf16 holds half the bytes of its products and gives the bits of one that is cast at every use', () => {
  const [cast, exact] = (['bf16', undefined] as const).map((precision) =>
    loadModel(run, { need: 'generator', precision }),
  ) as [LoadedGenerator, LoadedGenerator];
  expect(cast.generator.stateDict().get('blocks.0.attn.qkv.weight')!.dtype).toBe('bf16');
  expect(cast.generator.stateDict().get('blocks.0.attn.qkv.bias')!.dtype).toBe('f32');
  expect(cast.rae.decoder.decoder_embed.weight.dtype).toBe('bf16');
  const generator = new Generator(3);
  const [x, pixels, labels] = [
    randn([2, 16, 2, 2], { generator }),
    rand([2, 3, 8, 8], { generator }),
    tensor([0, 2], { dtype: 'i64' }),
  ];
  const outcome = ({ rae, generator: network }: LoadedGenerator) =>
    noGrad(() =>
      tidy(() =>
        [
          labelled(config, network.eval(), 'bf16')(x, 0.5, labels),
          decodeLatents(rae, x, { precision: 'bf16' }),
          encodePictures(rae, pixels, { precision: 'bf16' }),
        ].map((t) => [...t.toArray()]),
      ),
    );
  expect(outcome(cast)).toEqual(outcome(exact));
});
