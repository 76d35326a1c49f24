// Structural similarity per picture, as torchmetrics 1.9 has it (spec 13.5): 11 x 11 Gaussian window of sigma 1.5, k1 0.01, k2 0.03, data
// range 1, reflect padding, local variances at least 0, mean over the whole map and the channels.
// Differs in precision: float64 where torchmetrics has float32 (whose small variances are off by up to 1e-5 in the result). The window is
// separable, so blurring is two products with a banded matrix into which the padding is folded.

import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ShapeError } from '../util/errors.ts';
import { requirePairs, unitRange } from './psnr.ts';

const SIGMA = 1.5;
const RADIUS = 5;
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;

/** SSIM of each pair of pictures [B, C, H, W], uint8 or floats in [0, 1]; sides of at least 6. */
export function ssim(a: Tensor, b: Tensor): number[] {
  requirePairs('ssim', a, b);
  const [, , H, W] = a.dims(4);
  if (Math.min(H, W) <= RADIUS)
    throw new ShapeError(expected('ssim', `pictures with sides of at least ${RADIUS + 1}`, `${H} x ${W}`));
  return tidy(() => {
    const rows = blurMatrix(H, a);
    const columns = blurMatrix(W, a).t();
    const blur = (x: Tensor) => rows.matmul(x).matmul(columns); // [B, C, H, W]
    const x = unitRange(a);
    const y = unitRange(b);
    const [meanX, meanY] = [blur(x), blur(y)];
    const [xx, yy, xy] = [meanX.square(), meanY.square(), meanX.mul(meanY)];
    const varX = blur(x.square()).sub(xx).clamp(0);
    const varY = blur(y.square()).sub(yy).clamp(0);
    const covariance = blur(x.mul(y)).sub(xy);
    const luminance = xy.mul(2).add(C1).div(xx.add(yy).add(C1));
    const structure = covariance.mul(2).add(C2).div(varX.add(varY).add(C2));
    return luminance.mul(structure).flatten(1).mean([1]).toNumbers();
  });
}

/** [n, n] matrix that blurs a column of n pixels, mirrored at both ends without repeating the edge. */
function blurMatrix(n: number, like: Tensor): Tensor {
  const weights = Array.from({ length: 2 * RADIUS + 1 }, (_, i) => Math.exp(-((i - RADIUS) ** 2) / (2 * SIGMA ** 2)));
  const sum = weights.reduce((total, weight) => total + weight);
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (const [k, weight] of weights.entries()) {
      const j = Math.abs(i + k - RADIUS);
      matrix[i * n + (j < n ? j : 2 * (n - 1) - j)]! += weight / sum;
    }
  }
  return tensor(matrix, { shape: [n, n], device: like.device });
}
