// How pictures are distributed over spatial frequencies, for what PSNR does not show: blur (too little at high frequencies) and the tiles
// of a patch decoder or an adversary's patterns (a peak at the patch frequency and its multiples). Power of the rows and columns of the mean
// of the channels, averaged over pictures; bin k is k periods a side. Not from the paper.

import { call, keep, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ShapeError } from '../util/errors.ts';

/** Accumulates the spectrum of square pictures, batch by batch. */
export class Spectrum {
  #sum: Tensor | undefined; // [S / 2 + 1], float64
  #count = 0;

  /** Adds pictures [B, C, S, S]. */
  add(images: Tensor): void {
    const [B, , H, W] = images.dims(4);
    const bins = this.#sum?.numel ?? Math.floor(H / 2) + 1;
    if (H !== W || Math.floor(H / 2) + 1 !== bins)
      throw new ShapeError(expected('Spectrum.add', 'square pictures of one size', `${H} x ${W}`));
    const sum = tidy(() => {
      const grey = images.to('f64').mean([1]); // [B, S, S]
      const along = (dim: number) => powers(grey, dim).sum([0, dim === 1 ? 2 : 1]); // [bins]
      const added = along(1)
        .add(along(2))
        .div(2 * H);
      return keep(this.#sum ? this.#sum.add(added) : added);
    });
    this.#sum?.dispose();
    this.#sum = sum;
    this.#count += B;
  }

  /** Mean power of each bin; empty before the first picture. */
  result(): number[] {
    return this.#sum ? this.#sum.toNumbers().map((power) => power / this.#count) : [];
  }

  dispose(): void {
    this.#sum?.dispose();
    [this.#sum, this.#count] = [undefined, 0];
  }
}

/** Share of the energy of `real` at wavelengths of 4 pixels and below that `made` has: below 1 it is blurred, above 1 noisy. */
export function highFrequencyRatio(made: readonly number[], real: readonly number[]): number {
  const energy = (power: readonly number[]) => power.slice(highFrom(power)).reduce((sum, p) => sum + p, 0);
  return energy(made) / energy(real);
}

/**
 * By how many dB the power at multiples of the patch frequency (`patches` a side) stands out of that beside it, the mean over the multiples.
 * 0 in a smooth spectrum; undefined where a patch is as large as the picture or has no inner frequency.
 */
export function patchPeak(power: readonly number[], patches: number): number | undefined {
  const multiples: number[] = [];
  for (let k = patches; patches > 1 && k + 1 < power.length; k += patches) multiples.push(k);
  if (multiples.length === 0) return undefined;
  const dB = multiples.map((k) => 10 * Math.log10(power[k]! / Math.sqrt(power[k - 1]! * power[k + 1]!)));
  return dB.reduce((sum, x) => sum + x, 0) / dB.length;
}

const highFrom = (power: readonly number[]) => Math.ceil((power.length - 1) / 2);

function powers(x: Tensor, dim: number): Tensor {
  const spectrum = call('aten::fft_rfft', [x, null, dim, null]);
  return call('aten::abs', [spectrum]).square();
}
