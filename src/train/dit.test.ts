import { expect, test } from 'vitest';
import { type RunConfigInput, resolveConfig } from '../config/index.ts';
import { createStage2 } from '../models/stage2.ts';
import { ConfigError } from '../util/errors.ts';
import { previewSampling } from './dit.ts';

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
