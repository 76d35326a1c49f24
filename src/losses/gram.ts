// Gram loss (Gatys et al. 2016), which Scale-RAE (arXiv 2601.16208; spec 18) adds to L1, LPIPS and the adversarial loss with weight 100 for fine
// texture: how strongly channels of a frozen network fire together, wherever in the picture. Its paper names neither network nor scale; here
// the features are those of the LPIPS network, and a Gram matrix is divided by its layer's channels and positions.

import { type Tensor, tidy } from '../tensor/index.ts';
import type { Lpips } from './lpips.ts';

/** Squared difference of the Gram matrices, summed over their entries and the layers, a mean over the batch. Pictures in [-1, 1]. */
export function gramLoss(network: Pick<Lpips, 'features'>, image: Tensor, recon: Tensor): Tensor {
  return tidy(() => {
    const [wanted, found] = [network.features(image.detach()), network.features(recon)];
    const parts = found.map((features, i) => gram(features).sub(gram(wanted[i]!)).square().sum([1, 2]).mean());
    return parts.reduce((sum, part) => sum.add(part));
  });
}

/** F F' / (C h w) of features [B, C, h, w]: [B, C, C], float32. */
function gram(features: Tensor): Tensor {
  return tidy(() => {
    const [, C, h, w] = features.dims(4);
    const f = features.to('f32').flatten(2); // [B, C, h w]
    return f.matmul(f.transpose(1, 2)).div(C * h * w);
  });
}
