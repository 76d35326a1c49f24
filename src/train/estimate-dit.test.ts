import { expect, test } from 'vitest';
import { type RunConfigInput, resolveConfig } from '../config/index.ts';
import { deitTiny, dinov2B } from '../models/encoders/index.ts';
import { MaskedAutoencoder } from '../models/mae.ts';
import { createStage2 } from '../models/stage2.ts';
import { skipInit } from '../nn/index.ts';
import { clothingDit } from '../recipes/clothing.ts';
import { embeddedDit, embeddedEncoder } from '../recipes/embedded.ts';
import { estimateStage2, generatorParameters } from './estimate-dit.ts';
import { estimateEncoder } from './estimate-encoder.ts';

const decoder = (channels: number, patch: number, tokens: number) => ({
  ...{ channels, patch, tokens, width: 192, depth: 6, heads: 3, hidden: 768 },
});
const LATENT = [32, 4, 4] as const;
const shared = { input_size: 4, in_channels: 32 };
const ddt = { ...shared, hidden_size: [48, 64], depth: [2, 1], num_heads: [3, 4] };
const single = { ...shared, hidden_size: 48, depth: 2, num_heads: 3 };
test.each([
  ['DDT.DiTwDDTHead', ddt],
  ['DDT.DiTwDDTHead', { ...ddt, patch_size: [2, 1], use_pos_embed: false, use_qknorm: true, class_dropout_prob: 0 }],
  ['DDT.DiTwDDTHead', { ...ddt, hidden_size: [64, 64], num_heads: 4, use_swiglu: false, use_rmsnorm: false }],
  ['lightningDiT.LightningDiT', { ...single, learn_sigma: true, wo_shift: true }],
  ['lightningDiT.LightningDiT', { ...single, patch_size: 2, use_qknorm: true, use_rmsnorm: false }],
])('counts the parameters of %s %j', (name, params) => {
  const heads = 'num_heads' in params && params.num_heads === 4 ? { num_heads: [4, 4] } : {};
  const stage_2 = { target: `stage2.models.${name}`, params: { ...params, ...heads } };
  const input = { stage_2, misc: { num_classes: 10, time_dist_shift_base: 1 }, data: { synthetic: {} } };
  const model = resolveConfig(input as RunConfigInput).stage_2!;
  const built = skipInit(() => createStage2(model));
  expect(generatorParameters(model, { latent: LATENT, classes: 10 })).toBe(built.numParameters());
  built.dispose();
});

const dinov2 = { encoder: dinov2B().vit, decoder: { ...decoder(768, 16, 256), depth: 28 } };

test("the published DiT^DH-XL has its 838,675,796 parameters, and its arithmetic is the paper's", () => {
  const params = { input_size: 16, hidden_size: [1152, 2048], depth: [28, 2], num_heads: [16, 16] };
  const stage_2 = { target: 'stage2.models.DDT.DiTwDDTHead', params };
  const config = resolveConfig({
    stage_2,
    data: { synthetic: {} },
    training: { global_batch_size: 1 },
  } as RunConfigInput);
  const cached = { ...config, data: { ...config.data, latents: 'cache' } };
  const sizes = { ...dinov2, latent: [768, 16, 16] as const, classes: 1000 };
  const [found, alone] = [config, cached].map((of) => estimateStage2(of, sizes));
  expect(found!.parameters.generator).toBe(838_675_796); // spec 8
  expect(alone!.step.flops / 6 / 161.6e9).toBeCloseTo(1, 1);
  expect(alone!.step.flops).toBeLessThan(found!.step.flops);
});

// Largest resident sets of `rae train dit` over two steps, one thread, in bytes.
const clothing = (training: object) => {
  const base = clothingDit();
  const config = { ...base, data: { ...base.data, path: 'photos' }, training: { ...base.training, ...training } };
  const sizes = { encoder: deitTiny().vit, decoder: decoder(192, 16, 49), latent: [192, 7, 7] as const, classes: 10 };
  return estimateStage2(resolveConfig(config), sizes);
};
const embedded = { width: 64, depth: 6, heads: 4, hidden: 256, patch: 8, grid: [4, 4] as const };
test.each([
  ['clothing, 64 photographs', 1.071e9, () => clothing({})],
  ['the same in four parts', 0.722e9, () => clothing({ grad_accum_steps: 4 })],
  [
    'the embedded set',
    0.386e9,
    () =>
      estimateStage2(resolveConfig(embeddedDit()), {
        encoder: embedded,
        decoder: { ...decoder(64, 8, 16), width: 128, depth: 5, hidden: 512 },
        latent: [64, 4, 4],
        classes: 10,
      }),
  ],
] as const)('memory is within a quarter of what was measured: %s', (_, measured, estimate) => {
  expect(Math.abs(estimate().step.memory / measured - 1)).toBeLessThan(0.25);
});

test('counts the parameters of a masked autoencoder', () => {
  const config = resolveConfig(embeddedEncoder());
  const vit = {
    width: 64,
    depth: 6,
    heads: 4,
    hidden: 256,
    patch: 8,
    grid: [4, 4] as const,
    finalNorm: 'affine' as const,
  };
  const built = skipInit(
    () => new MaskedAutoencoder({ encoder: vit, decoder: { width: 64, depth: 2, heads: 4, hidden: 256 } }),
  );
  const { encoder, decoder } = estimateEncoder(config).parameters;
  expect(encoder + decoder).toBe(built.numParameters());
  built.dispose();
});
