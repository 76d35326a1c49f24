// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of interpolation is under test
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  checkEncoder,
  checkFiles,
  formatConfig,
  ignoredKeys,
  loadConfig,
  parseConfigText,
  resolveConfig,
  resolveUnknown,
} from './index.ts';

const name = 'x.yaml';
const parse = (text: string) => parseConfigText(text, { name });
const resolve = (text: string) => resolveUnknown(parse(text), { name });
const DIT = {
  target: 'stage2.models.DDT.DiTwDDTHead' as const,
  params: { input_size: 7, in_channels: 192, hidden_size: [192, 256], depth: [4, 2], num_heads: [3, 4] },
} satisfies object;
const dit = (extra: object = {}) =>
  resolveConfig({ stage_2: DIT, misc: { time_dist_shift_base: 4096 }, ...extra } as Parameters<
    typeof resolveConfig
  >[0]);

test('a saved configuration reads back as itself', () => {
  const config = dit({ data: { synthetic: {} }, training: { steps: 10, scheduler: { warmup_steps: 3 } }, gan: {} });
  const text = formatConfig(config);
  expect(text).toContain('hidden_size: [192, 256]');
  expect(text.startsWith('stage_1:')).toBe(true);
  expect(resolve(text)).toEqual(config);
});

test('latent size, shift dimension and label count follow from the stage-2 model', () => {
  const { misc, stage_2 } = dit();
  expect(misc.latent_size).toEqual([192, 7, 7]);
  expect(misc.time_dist_shift_dim).toBe(192 * 49);
  expect([misc.num_classes, misc.null_label, stage_2?.params.num_classes]).toEqual([1000, 1000, 1000]);
});

test('defaults differ between the stages as they do in the reference', () => {
  expect(resolveConfig({}).training).toMatchObject({ epochs: 200, ema_decay: 0.9999, sample_every: 1250 });
  expect(dit().training).toMatchObject({ epochs: 1400, ema_decay: 0.9995, sample_every: 2500 });
  expect(resolveConfig({}).data).toMatchObject({ crop: 'random', flip: false });
  expect(dit().data).toMatchObject({ crop: 'center', flip: true });
  expect(resolveConfig({ training: { steps: 5 } }).training.epochs).toBeUndefined();
});

test('scalars are read as OmegaConf reads them', () => {
  const config = resolve('stage_1: {params: {reshape_to_2d: yes}}\ntraining: {optimizer: {lr: 2e-4}, clip_grad: 1.}\n');
  expect(config.stage_1.params.reshape_to_2d).toBe(true);
  expect(config.training.optimizer.lr).toBe(2e-4);
  expect(() => resolve('stage_1: {params: {noise_tau: 2020-01-01}}')).toThrow(/noise_tau: expected a number/);
});

test('interpolation takes whole nodes, inserts into text and follows relative paths', () => {
  const config = parse(
    'stage_1: {a: "${x.list[1]}", b: "${x.word}-${x.list.0}"}\nx: {list: [1, 2], word: w, same: "${.word}"}',
  );
  expect(config).toEqual({ stage_1: { a: 2, b: 'w-1' }, x: { list: [1, 2], word: 'w', same: 'w' } });
});

test('interpolation that goes nowhere, in circles, grows without bound or asks for code is refused', () => {
  expect(() => parse('stage_1: {a: "${misc.none}"}')).toThrow(
    'x.yaml: stage_1.a: expected an existing key, received ${misc.none}',
  );
  expect(() => parse('stage_1: {a: "${stage_1.b}", b: "${stage_1.a}"}')).toThrow(/refers to itself/);
  expect(() => parse('stage_1: {a: "${stage_1}"}')).toThrow(/refers to itself/);
  expect(() => parse('stage_1: {a: "${oc.env:HOME}"}')).toThrow(/resolver/);
  expect(() => parse('stage_1: {a: "???"}')).toThrow(/in place of the mark/);
  const laughs = Array.from({ length: 30 }, (_, i) => `l${i + 1}: ["\${l${i}}", "\${l${i}}"]`).join('\n');
  expect(() => parse(`stage_1: {}\nl0: x\n${laughs}`)).toThrow(/at most 20000 values/);
});

test('old spellings mean the same, and contradict no new one', () => {
  const config = resolve(
    'stage_1: {}\nguidance: {scale: 2, t-min: 0.1}\ntraining: {batch_size: 8, base_lr: 1e-3, wd: 0.1}',
  );
  expect(config.guidance.t_min).toBe(0.1);
  expect(config.training.global_batch_size).toBe(8);
  expect(config.training.scheduler?.base_lr).toBe(1e-3);
  expect(() => resolve('stage_1: {}\ntraining: {batch_size: 8, global_batch_size: 4}')).toThrow(/Keep one/);
});

test('an unknown key is named with the nearest known one, inside unions too', () => {
  expect(() => resolve('stage_1: {}\nsampler: {mode: ODE, params: {num_step: 5}}')).toThrow(
    "x.yaml: sampler.params.num_step: unknown key. Did you mean 'num_steps'?",
  );
  expect(() => resolve('stage_1: {}\nloses: {}')).toThrow("Did you mean 'losses'?");
});

test('--set reaches into sections and lists, reads YAML values, and is checked like the rest', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'rae-config-')), 'c.yaml');
  writeFileSync(
    path,
    'stage_1: {}\nstage_2:\n  target: stage2.models.DDT.DiTwDDTHead\n  params: {input_size: 8, in_channels: 64, hidden_size: [64, 64], depth: [2, 1], num_heads: [2, 2]}\nmisc: {time_dist_shift_base: 64}',
  );
  const config = loadConfig(path, {
    set: ['training.optimizer.lr=1e-3', 'stage_2.params.depth.0=5', 'eval.metrics=[psnr]'],
  });
  expect(config.training.optimizer.lr).toBe(1e-3);
  expect(config.stage_2?.params.depth).toEqual([5, 1]);
  expect(config.eval?.metrics).toEqual(['psnr']);
  expect(() => loadConfig(path, { set: ['stage_2.params.depth.7=5'] })).toThrow(/index from 0 to 1/);
  expect(() => loadConfig(path, { set: ['seed'] })).toThrow(/expected key.path=value/);
  expect(() => loadConfig(path, { set: ['training.sed=1'] })).toThrow(/training.sed: unknown key/);
});

test('an encoder refuses what its training would not look at', () => {
  expect(() => resolve('stage_1: {}\nmae: {}\ntraining: {global_batch_size: 16, grad_accum_steps: 2}')).toThrow(
    /training\.grad_accum_steps: expected 1 for an encoder.*received 2/,
  );
  expect(() => resolve('stage_1: {}\nmae: {}\neval: {eval_interval: 100}')).toThrow(/eval: expected no such section/);
});

test('sizes are held against the encoder that will be loaded', () => {
  expect(
    checkEncoder(dit({ stage_1: { params: { encoder_input_size: 112 } } }), { hiddenSize: 192, patchSize: 16 }),
  ).toEqual([]);
  expect(checkEncoder(dit(), { hiddenSize: 384, patchSize: 16 }).join('\n')).toMatch(/384 channels.*\n.*14 x 14/);
  expect(
    checkEncoder(dit({ stage_1: { params: { encoder_input_size: 100 } } }), { hiddenSize: 192, patchSize: 16 })[0],
  ).toMatch(/multiple of the encoder's patch size 16, received 100/);
});

test('files that are named but absent are listed with their keys', () => {
  const config = resolveConfig({
    stage_1: { params: { encoder_config_path: 'embedded', normalization_stat_path: 'no/stat.pt' } },
  });
  expect(checkFiles(config)).toEqual([
    expect.stringMatching(/^stage_1.params.normalization_stat_path: .*'no\/stat.pt'/),
  ]);
});

test('keys of the reference that have no effect here are named with what to set instead', () => {
  const config = resolveConfig({ training: { cfg_scale: 2 }, eval: { data_path: 'val' }, data: { synthetic: {} } });
  expect(ignoredKeys(config)).toEqual([
    'training.cfg_scale has no effect. Set guidance.scale.',
    'eval.data_path has no effect. Set data.eval_path.',
  ]);
});
