// Figures of pictures against their originals, one number a picture: PSNR, SSIM, LPIPS.

import { withLpipsTensors } from '../inference/lpips-tensors.ts';
import { toPixels } from '../inference/pixels.ts';
import { lpipsFromWeights } from '../losses/lpips-weights.ts';
import { toSigned } from '../losses/reconstruction.ts';
import { psnr } from '../metrics/psnr.ts';
import { ssim } from '../metrics/ssim.ts';
import { noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { ConfigError } from '../util/errors.ts';

export const pairNames = ['psnr', 'ssim', 'lpips'] as const;
export type PairName = (typeof pairNames)[number];

export interface PairFigures {
  /** Of bytes [n, H, W, 3] each: every figure of every picture. */
  compute(
    images: Uint8Array,
    originals: Uint8Array,
    size: readonly [number, number, number],
  ): Partial<Record<PairName, number[]>>;
  dispose(): void;
}

/** The figures `names`; `lpips` is the file of its weights. */
export function pairFigures(names: readonly PairName[], { lpips }: { lpips?: string | undefined }): PairFigures {
  if (names.includes('lpips') && lpips === undefined) {
    throw new ConfigError(
      '--lpips: expected a file with the weights of LPIPS for the metric lpips, received none. Give one, or leave lpips out.',
    );
  }
  const network = names.includes('lpips') ? withLpipsTensors(lpips!, lpipsFromWeights) : undefined;
  const perPicture: Record<PairName, (a: Tensor, b: Tensor) => number[]> = {
    psnr,
    ssim,
    // One at a time: convolutions round differently for other batches.
    lpips: (a, b) => Array.from({ length: a.size(0) }, (_, i) => tidy(() => distance(a, b, i))),
  };
  const distance = (a: Tensor, b: Tensor, i: number) =>
    network!.forward(toSigned(a.narrow(0, i, 1)), toSigned(b.narrow(0, i, 1))).item();
  return {
    compute: (images, originals, size) =>
      noGrad(() =>
        tidy(() => {
          if (size[0] === 0) return {};
          const [a, b] = [toPixels(images, size), toPixels(originals, size)];
          return Object.fromEntries(names.map((name) => [name, perPicture[name](a, b)]));
        }),
      ),
    dispose: () => network?.dispose(),
  };
}
