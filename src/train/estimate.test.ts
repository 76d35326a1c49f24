import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { AlexNet } from '../models/alexnet.ts';
import { Decoder, decoderViTXL } from '../models/decoder.ts';
import { deitTiny, dinov2B, dinov2G, Encoder, type EncoderSpec, maeB, siglip2B } from '../models/encoders/index.ts';
import { SqueezeNet } from '../models/squeezenet.ts';
import { VGG16 } from '../models/vgg.ts';
import { skipInit } from '../nn/index.ts';
import { clothingRae } from '../recipes/clothing.ts';
import { photosRae } from '../recipes/photos.ts';
import { convolutionParameters, decoderParameters, estimateStage1, vitParameters } from './estimate.ts';

const specs: [string, EncoderSpec][] = Object.entries({
  'DINOv2-B': dinov2B(),
  'DINOv2-g': dinov2G({ registers: 0 }),
  'SigLIP2-B': siglip2B(),
  'MAE-B': maeB(),
  'DeiT-Tiny': deitTiny(),
});

test.each(specs)('counts the parameters of %s', (_, spec) => {
  const encoder = skipInit(() => new Encoder(spec));
  expect(vitParameters(spec.vit)).toBe(encoder.numParameters());
  encoder.dispose();
});

test('counts the parameters of decoders and of the networks of LPIPS', () => {
  const sizes = { channels: 32, width: 32, depth: 2, heads: 2, hidden: 80, patch: 8, tokens: 16 };
  expect(decoderParameters(sizes)).toBe(new Decoder(sizes).numParameters());
  const xl = skipInit(() => decoderViTXL({ channels: 768, patch: 16, tokens: 256 }));
  expect(decoderParameters(xl.options)).toBe(415_352_704); // spec 4
  xl.dispose();
  for (const [name, trunk] of [
    ['squeeze', new SqueezeNet()],
    ['vgg', new VGG16()],
    ['alex', new AlexNet()],
  ] as const) {
    const compared = trunk.channels.reduce((a, b) => a + b, 0);
    expect(convolutionParameters(name)).toBe(trunk.numParameters() + compared);
  }
});

const clothing = (training: object = {}) => {
  const base = clothingRae();
  const config = resolveConfig({
    ...base,
    training: { ...base.training, ...training },
    gan: { disc: { arch: { ks: 9 } } },
  });
  const { vit } = deitTiny();
  const decoder = { channels: 192, width: 192, depth: 6, heads: 3, hidden: 768, patch: 16, tokens: 49 };
  return estimateStage1(config, { encoder: vit, decoder, trunk: vit, lpips: 'squeeze' });
};

test('accumulation and checkpointing lower the memory, the adversarial phase takes more of everything', () => {
  const [whole, parted] = [clothing(), clothing({ grad_accum_steps: 8 })];
  const again = clothing({ activation_checkpointing: true });
  expect(parted.reconstruction.memory).toBeLessThan(whole.reconstruction.memory);
  expect(parted.reconstruction.flops).toBe(whole.reconstruction.flops);
  expect(again.reconstruction.memory).toBeLessThan(whole.reconstruction.memory);
  expect(again.reconstruction.flops).toBeGreaterThan(whole.reconstruction.flops);
  expect(whole.adversarial!.memory).toBeGreaterThan(whole.reconstruction.memory);
  expect(whole.adversarial!.flops).toBeGreaterThan(whole.reconstruction.flops);
});

test('arithmetic of the decoder agrees with the paper: 110.8 GMAC for ViT-XL over 256 tokens', () => {
  const config = resolveConfig({
    data: { synthetic: {}, image_size: 256 },
    training: { global_batch_size: 1, steps: 1 },
  });
  const decoder = { channels: 768, width: 1152, depth: 28, heads: 16, hidden: 4096, patch: 16, tokens: 256 };
  const { vit } = dinov2B();
  const without = estimateStage1(config, { encoder: vit, decoder: { ...decoder, depth: 0 } }).reconstruction.flops;
  const with28 = estimateStage1(config, { encoder: vit, decoder }).reconstruction.flops;
  expect((with28 - without) / 6 / 1e9).toBeCloseTo(110.8, -0.5); // forward and backward: three times, two operations each
});

// Largest resident sets of `rae train rae` over two steps, one thread, in bytes.
const WIDER = { channels: 64, width: 384, depth: 6, heads: 6, hidden: 1536, patch: 8, tokens: 64 };
const EMBEDDED = { width: 64, depth: 6, heads: 4, hidden: 256, patch: 8, grid: [4, 4] as const };
test.each([
  ['clothing, 64 pictures, L1 + LPIPS', 1.128e9, () => clothing().reconstruction],
  ['clothing, 16 pictures, adversarial', 1.17e9, () => clothing({ global_batch_size: 16 }).adversarial!],
  [
    'photographs of 64 px, 64 pictures, decoder of width 384, L1',
    1.429e9,
    () => {
      const config = resolveConfig({ ...photosRae(), losses: { lpips: 0 } });
      return estimateStage1(config, { encoder: EMBEDDED, decoder: WIDER }).reconstruction;
    },
  ],
] as const)('memory is within a quarter of what was measured: %s', (_, measured, estimate) => {
  expect(Math.abs(estimate().memory / measured - 1)).toBeLessThan(0.25);
});
