import { expect, test } from 'vitest';
import { backward, Generator, memoryStats, ones, rand, randn, zeros } from '../tensor/index.ts';
import { Decoder } from './decoder.ts';
import { Encoder, mae } from './encoders/index.ts';
import { Rae, type RaeOptions } from './rae.ts';

function tinyRae(options: Partial<RaeOptions> = {}): Rae {
  const encoder = new Encoder(mae({ width: 16, depth: 1, heads: 2, hidden: 32, patch: 4, imageSize: 12 }));
  const decoder = new Decoder({ channels: 16, width: 16, depth: 1, heads: 2, hidden: 32, patch: 4, tokens: 9 });
  return new Rae({ encoder, decoder, encoderInputSize: 12, ...options });
}

const images = rand([4, 3, 12, 12]);
const equal = (a: { sub: unknown }, b: unknown) =>
  (a as typeof images)
    .eq(b as typeof images)
    .all()
    .item() === 1;

test('noise is added in training mode only, and a seed repeats it', () => {
  const rae = tinyRae();
  const noisy = () => rae.encode(images, { generator: new Generator(7) });
  const training = [noisy(), noisy()];
  expect(equal(training[0]!, training[1]!)).toBe(true);
  rae.eval();
  const clean = rae.encode(images);
  expect(equal(clean, rae.encode(images))).toBe(true);
  expect(equal(clean, training[0]!)).toBe(false);
});

test.each([
  ['uniform', 1],
  ['half-normal', 5],
] as const)('%s noise has one strength for each sample, from 0 to at most %d tau', (noise, most) => {
  const rae = tinyRae({ noise, noiseTau: 0.5 });
  const clean = rae.eval().encode(images);
  const difference = rae
    .train()
    .encode(images, { noise: ones([4, 9, 16]), generator: new Generator(1) })
    .sub(clean);
  const perSample = difference.flatten(1);
  const strengths = perSample.mean([1]).toNumbers();
  expect(perSample.std([1]).max().item()).toBeLessThan(1e-5);
  expect(new Set(strengths).size).toBe(4);
  for (const s of strengths) expect(s > 0 && s < most * 0.5).toBe(true);
});

test('decode undoes the statistics of encode', () => {
  const rae = tinyRae().eval();
  const plain = rae.forward(images);
  rae.setStatistics({ mean: randn([16, 3, 3]), variance: rand([16, 3, 3]).add(0.1) });
  expect(rae.forward(images).sub(plain).abs().max().item()).toBeLessThan(1e-5);
  expect(rae.encode(images).sub(tinyRaeLatent(rae)).abs().max().item()).toBeGreaterThan(0.1);
});

function tinyRaeLatent(rae: Rae) {
  rae.setStatistics();
  return rae.encode(images);
}

test('statistics of another shape are refused', () => {
  expect(() => tinyRae().setStatistics({ variance: ones([16, 1, 1]) })).toThrow(
    /setStatistics: expected a variance of shape \[16, 3, 3\], received \[16, 1, 1\]/,
  );
});

test('statistics and pixel moments stay out of the state dict', () => {
  const rae = tinyRae();
  rae.setStatistics({ mean: zeros([16, 3, 3]), variance: ones([16, 3, 3]) });
  for (const key of rae.stateDict().keys()) expect(key).toMatch(/^(encoder\.vit|decoder)\./);
});

test('gradients reach the decoder and never the encoder', () => {
  const rae = tinyRae();
  backward(rae.forward(images).square().mean());
  expect(rae.decoder.decoder_embed.weight.grad).toBeDefined();
  for (const parameter of rae.encoder.parameters()) expect(parameter.requiresGrad).toBe(false);
});

test('pictures of another size are stretched to the encoder input, and decode gives the decoder size', () => {
  const rae = tinyRae().eval();
  expect(rae.encode(rand([1, 3, 20, 9])).shape).toEqual([1, 16, 3, 3]);
  expect(rae.forward(rand([1, 3, 20, 9])).shape).toEqual([1, 3, 12, 12]);
});

test('encode leaves no tensor behind but its result', () => {
  const rae = tinyRae();
  const before = memoryStats().tensors;
  rae.encode(images).dispose();
  expect(memoryStats().tensors).toBe(before);
});

test('sizes that do not fit together are refused', () => {
  expect(() => tinyRae({ encoderInputSize: 14 })).toThrow(/divisible by the patch size 4, received 14/);
  const narrow = new Decoder({ channels: 8, width: 16, depth: 1, heads: 2, hidden: 32, patch: 4, tokens: 9 });
  expect(() => tinyRae({ decoder: narrow })).toThrow(/decoder for 16 channels, received one for 8/);
});
