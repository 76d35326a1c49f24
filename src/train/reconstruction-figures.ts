// What reconstructions are judged by, over a set of pictures that arrives in batches: PSNR, SSIM and LPIPS of each pair, the Frechet distance
// of the encoder's mean-pooled features (never called FID, which is of Inception's), and two figures of the spectrum.

import type { Lpips } from '../losses/lpips.ts';
import { toSigned } from '../losses/reconstruction.ts';
import { FeatureMoments } from '../metrics/feature-moments.ts';
import { frechetDistance } from '../metrics/frechet.ts';
import { psnr } from '../metrics/psnr.ts';
import { highFrequencyRatio, patchPeak, Spectrum } from '../metrics/spectrum.ts';
import { ssim } from '../metrics/ssim.ts';
import type { Rae } from '../models/rae.ts';
import { noGrad, type Tensor, tidy } from '../tensor/index.ts';

export interface FigureOptions {
  lpips?: Lpips | undefined;
}

/** The figures of two or more pictures; those that need something absent (weights of LPIPS, several patches a side) are left out. */
export type Figures = Record<string, number>;

/** The names of those of the figures that have a best, for who must know them before there are any. */
export function figureNames(rae: Rae, { lpips }: FigureOptions): string[] {
  const patches = rae.latentSide > 1 ? ['patch_peak'] : [];
  return ['psnr', 'ssim', ...(lpips ? ['lpips'] : []), 'encoder_frechet', ...patches];
}

/**
 * Accumulates pairs of pictures and reconstructions.
 *   psnr (dB), ssim, lpips   means over the pictures
 *   encoder_frechet          Frechet distance between mean-pooled latents of the pictures and of the reconstructions
 *   high_frequency           energy at wavelengths of 4 pixels and below, relative to the pictures': below 1 blurred
 *   patch_peak               dB by which multiples of the patch frequency stand out, less what they do in the pictures: above 0 tiles
 */
export class ReconstructionFigures {
  readonly #rae: Rae;
  readonly #lpips: Lpips | undefined;
  readonly #sums = { psnr: 0, ssim: 0, lpips: 0 };
  readonly #real = { features: new FeatureMoments(), spectrum: new Spectrum() };
  readonly #made = { features: new FeatureMoments(), spectrum: new Spectrum() };

  constructor(rae: Rae, { lpips }: FigureOptions = {}) {
    this.#rae = rae;
    this.#lpips = lpips;
  }

  /** Pictures added so far. */
  get count(): number {
    return this.#made.features.count;
  }

  /** Adds pictures and their reconstructions, both [n, 3, S, S] in [0, 1], with the pictures' latents where they are at hand. */
  add(pictures: Tensor, recon: Tensor, latents: Tensor = this.#rae.encode(pictures)): void {
    noGrad(() =>
      tidy(() => {
        for (const value of psnr(recon, pictures)) this.#sums.psnr += value;
        for (const value of ssim(recon, pictures)) this.#sums.ssim += value;
        if (this.#lpips) this.#sums.lpips += this.#lpips.forward(toSigned(pictures), toSigned(recon)).sum().item();
        this.#real.features.add(pooled(latents));
        this.#made.features.add(pooled(this.#rae.encode(recon)));
        this.#real.spectrum.add(pictures);
        this.#made.spectrum.add(recon);
      }),
    );
  }

  result(): Figures {
    const n = this.count;
    const [real, made] = [this.#real.spectrum.result(), this.#made.spectrum.result()];
    const peaks = [made, real].map((power) => patchPeak(power, this.#rae.latentSide));
    const distance = () => tidy(() => frechetDistance(this.#real.features.result(), this.#made.features.result()));
    return {
      psnr: this.#sums.psnr / n,
      ssim: this.#sums.ssim / n,
      ...(this.#lpips && { lpips: this.#sums.lpips / n }),
      ...(n > 1 && { encoder_frechet: distance() }),
      high_frequency: highFrequencyRatio(made, real),
      ...(peaks[0] !== undefined && { patch_peak: peaks[0] - peaks[1]! }),
    };
  }

  dispose(): void {
    for (const { features, spectrum } of [this.#real, this.#made]) {
      features.dispose();
      spectrum.dispose();
    }
  }
}

/** [n, C, h, w], or tokens [n, N, C], to [n, C]. */
function pooled(latents: Tensor): Tensor {
  return latents.ndim === 4 ? latents.mean([2, 3]) : latents.mean([1]);
}
