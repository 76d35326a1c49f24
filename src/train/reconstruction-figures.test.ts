import { expect, test } from 'vitest';
import { Decoder } from '../models/decoder.ts';
import { Encoder } from '../models/encoders/index.ts';
import { Rae } from '../models/rae.ts';
import { call, Generator, rand, type Tensor, tidy } from '../tensor/index.ts';
import { figureNames, ReconstructionFigures } from './reconstruction-figures.ts';

const generator = new Generator(0);
const vit = { width: 16, depth: 1, heads: 2, hidden: 32, patch: 8, grid: [4, 4] as const };
const encoder = new Encoder({ family: 'vit', vit, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
for (const p of encoder.parameters()) p.detach().uniform_(-0.2, 0.2, { generator });
const decoder = new Decoder({ channels: 16, width: 16, depth: 1, heads: 2, hidden: 16, patch: 8, tokens: 16 });
const rae = new Rae({ encoder, decoder, encoderInputSize: 32, noiseTau: 0 }).eval();
const pictures = rand([6, 3, 32, 32], { generator });

function judge(recon: Tensor, batch = 6) {
  const figures = new ReconstructionFigures(rae);
  for (let at = 0; at < 6; at += batch)
    tidy(() => figures.add(pictures.narrow(0, at, batch), recon.narrow(0, at, batch)));
  const result = figures.result();
  figures.dispose();
  return result;
}

test('pictures that are reconstructed exactly have the best of every figure', () => {
  const { encoder_frechet, ...others } = judge(pictures);
  expect(others).toEqual({ psnr: expect.closeTo(100, 6), ssim: 1, high_frequency: 1, patch_peak: 0 });
  expect(encoder_frechet).toBeLessThan(1e-9);
});

test('blurred ones lack high frequencies and lie elsewhere for the encoder', () => {
  const figures = judge(call('aten::avg_pool2d', [pictures, [5, 5], [1, 1], [2, 2]]));
  expect(figures.high_frequency).toBeLessThan(0.2);
  expect(figures.encoder_frechet).toBeGreaterThan(1e-3);
  expect(figures.ssim).toBeLessThan(0.9);
});

test('the figures do not depend on the batches', () => {
  const noisy = tidy(() => pictures.mul(0.9).add(0.02));
  const [whole, parted] = [judge(noisy), judge(noisy, 2)];
  for (const [name, value] of Object.entries(whole)) expect(parted[name], name).toBeCloseTo(value, 5);
});

test('names are those of the figures, but for the one that has no best', () => {
  expect([...figureNames(rae, {}), 'high_frequency'].sort()).toEqual(Object.keys(judge(pictures)).sort());
});
