import { expect, test } from 'vitest';
import { call, Generator, rand, type Tensor, tensor } from '../tensor/index.ts';
import { highFrequencyRatio, patchPeak, Spectrum } from './spectrum.ts';

const S = 32;
const smooth = rand([4, 3, S, S], { generator: new Generator(0) });

function spectrumOf(...batches: Tensor[]): number[] {
  const spectrum = new Spectrum();
  for (const images of batches) spectrum.add(images);
  const result = spectrum.result();
  spectrum.dispose();
  return result;
}

/** A wave of k periods along the rows of one picture. */
function wave(k: number): Tensor {
  const row = Array.from({ length: S }, (_, x) => Math.cos((2 * Math.PI * k * x) / S));
  return tensor(Array.from({ length: 3 * S }, () => row).flat(), { shape: [1, 3, S, S] });
}

test('a wave has its power in its own bin, a constant picture at 0', () => {
  const power = spectrumOf(wave(5));
  expect(power).toHaveLength(S / 2 + 1);
  expect(power[5]).toBeCloseTo((S / 2) ** 2 / 2, 3); // rows have it, columns do not
  expect(Math.max(...power.filter((_, k) => k !== 5 && k !== 0))).toBeLessThan(1e-6);
});

test('the spectrum is the mean over pictures, whatever the batches', () => {
  const [whole, parted] = [spectrumOf(smooth), spectrumOf(smooth.narrow(0, 0, 1), smooth.narrow(0, 1, 3))];
  for (const [k, power] of whole.entries()) expect(parted[k]).toBeCloseTo(power, 8);
});

test('blurred pictures have less of the energy at high frequencies', () => {
  const blurred = call('aten::avg_pool2d', [smooth, [3, 3], [1, 1], [1, 1]]);
  expect(highFrequencyRatio(spectrumOf(smooth), spectrumOf(smooth))).toBe(1);
  expect(highFrequencyRatio(spectrumOf(blurred), spectrumOf(smooth))).toBeLessThan(0.2);
});

test('tiles stand out at the patch frequency, noise does not', () => {
  const brighter = Array.from({ length: S }, (_, x) => (x % 8 === 0 ? 1 : 0)); // a seam at every patch of 8
  const seams = tensor(brighter, { shape: [1, 1, 1, S] });
  expect(Math.abs(patchPeak(spectrumOf(smooth), 4)!)).toBeLessThan(3);
  expect(patchPeak(spectrumOf(smooth.add(seams)), 4)).toBeGreaterThan(6);
  expect(patchPeak(spectrumOf(smooth), 1)).toBeUndefined();
});
