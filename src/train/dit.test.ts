import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type RunConfigInput, resolveConfig } from '../config/index.ts';
import { createStage2 } from '../models/stage2.ts';
import { readMetrics } from '../runs/index.ts';
import { Generator, randn } from '../tensor/index.ts';
import { ConfigError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { previewSampling, trainDit } from './dit.ts';
import type { LatentSet } from './latents.ts';

const stage_2 = (class_dropout_prob: number) => ({
  target: 'stage2.models.DDT.DiTwDDTHead' as const,
  params: {
    input_size: 2,
    in_channels: 16,
    hidden_size: [16, 24] as [number, number],
    depth: [1, 1] as [number, number],
    num_heads: [2, 2] as [number, number],
    num_classes: 3,
    class_dropout_prob,
  },
});

function sampling(input: Partial<RunConfigInput>, dropout = 0.1) {
  const config = resolveConfig({ stage_2: stage_2(dropout), misc: { time_dist_shift_base: 64 }, ...input });
  return previewSampling(config, createStage2(config.stage_2!));
}

test('a run that is to be sampled by an SDE draws its grids by an ODE', () => {
  expect(sampling({ sampler: { mode: 'SDE' } })).toMatchObject({ method: 'euler', steps: 50, guidance: {} });
});

test('a run that is to be guided by a weaker model draws its grids without one', () => {
  const guidance = { method: 'autoguidance' as const, scale: 1.5, guidance_model: stage_2(0.1) };
  expect(sampling({ guidance }).guidance).toEqual({});
});

test('classifier-free guidance of a model without a null label is refused before training', () => {
  expect(() => sampling({ guidance: { scale: 1.5 } }, 0)).toThrow(ConfigError);
  expect(sampling({ guidance: { scale: 1.5 } }).guidance).toHaveProperty('cfg.scale', 1.5);
});

const SHAPE = [16, 2, 3] as const; // a rectangle
const fixed = randn([8, ...SHAPE], { generator: new Generator(0) });
const labels = Int32Array.from([0, 1, 2, 0, 1, 2, 0, 1]);
const batch = { labels, latents: () => fixed.clone() };

/** A run of three steps on the same eight latents, without pictures; returns its losses. */
async function train(input: Partial<RunConfigInput>, params: object = {}): Promise<number[]> {
  const out = mkdtempSync(join(tmpdir(), 'rae-dit-'));
  const config = resolveConfig({
    stage_2: {
      target: 'stage2.models.lightningDiT.LightningDiT',
      params: {
        input_size: [2, 3],
        in_channels: 16,
        hidden_size: 48,
        depth: 1,
        num_heads: 2,
        class_dropout_prob: 0,
        ...params,
      },
    },
    misc: { time_dist_shift_base: 64 },
    training: { steps: 100, global_batch_size: 8, log_interval: 1, optimizer: { lr: 3e-3 } },
    ...input,
  });
  const set: LatentSet = { size: 8, label: (i) => labels[i]!, read: async () => batch };
  await trainDit({
    config,
    rae: undefined as never, // decodes grids, of which none is due
    model: createStage2(config.stage_2!, { generator: new Generator(1) }),
    batches: { size: 8, state: () => 0, restore: () => {}, next: async () => batch },
    train: set,
    heldOut: set,
    out,
    resume: false,
    stopAt: 3,
    log,
  });
  return readMetrics(join(out, 'metrics.jsonl')).map((line) => line['train/loss'] as number);
}

test.each([
  { path_type: 'Linear', prediction: 'noise' },
  { path_type: 'Linear', prediction: 'data' },
  { path_type: 'GVP', prediction: 'velocity' },
  { path_type: 'VP', prediction: 'score' },
] as const)('$path_type with $prediction prediction is trained, on rectangles', async (params) => {
  log.quiet = true;
  const losses = await train({ transport: { params } });
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses[2]).toBeLessThan(2 * losses[0]!);
});

test('the loss weight is reached from the configuration', async () => {
  const [plain] = await train({ transport: { params: { prediction: 'noise' } } });
  const [weighted] = await train({ transport: { params: { prediction: 'noise', loss_weight: 'velocity' } } });
  expect(weighted! / plain!).toBeGreaterThan(1.2);
});

test('a run without classes trains a model without a label table', async () => {
  const losses = await train({ misc: { num_classes: 0, time_dist_shift_base: 64 } }, { num_classes: 0 });
  expect(losses.every(Number.isFinite)).toBe(true);
});
