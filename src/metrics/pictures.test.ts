import { expect, test } from 'vitest';
import { Generator, rand, randint, zeros } from '../tensor/index.ts';
import { psnr } from './psnr.ts';
import { ssim } from './ssim.ts';

const pictures = (seed: number) => rand([3, 3, 20, 24], { generator: new Generator(seed) });

test('identical pictures have 100 dB and an SSIM of 1', () => {
  const x = pictures(1);
  expect(psnr(x, x)).toEqual([100, 100, 100]);
  for (const value of ssim(x, x)) expect(value).toBeCloseTo(1, 12);
});

test('bytes are divided by 255 whatever they hold', () => {
  const [black, nearly] = [zeros([1, 3, 8, 8], { dtype: 'u8' }), zeros([1, 3, 8, 8], { dtype: 'u8' }).add(1)];
  expect(psnr(black, nearly)[0]).toBeCloseTo(20 * Math.log10(255), 10);
});

test('every picture is judged on its own', () => {
  const [x, y] = [pictures(1), pictures(2)];
  expect(psnr(x, y)[2]).toBeCloseTo(psnr(x.narrow(0, 2, 1), y.narrow(0, 2, 1))[0]!, 12);
  expect(ssim(x, y)[2]).toBeCloseTo(ssim(x.narrow(0, 2, 1), y.narrow(0, 2, 1))[0]!, 12);
});

test('bytes and the same pictures in [0, 1] agree', () => {
  const bytes = [3, 4].map((seed) => randint(0, 256, [1, 3, 9, 9], { generator: new Generator(seed) }).to('u8'));
  const floats = bytes.map((x) => x.to('f64').div(255));
  expect(ssim(bytes[0]!, bytes[1]!)).toEqual(ssim(floats[0]!, floats[1]!));
});

test('pictures that do not fit together or are too small are refused', () => {
  expect(() => psnr(pictures(1), zeros([3, 3, 20, 20]))).toThrow(/two batches of one shape/);
  expect(() => psnr(zeros([3, 4]), zeros([3, 4]))).toThrow(/pictures of shape/);
  expect(() => ssim(zeros([1, 3, 5, 30]), zeros([1, 3, 5, 30]))).toThrow(/sides of at least 6, received '5 x 30'/);
});
