// Encoder of a masked autoencoder (He et al.; spec 2.3): class token, exact GELU, eps 1e-12 as Hugging Face has it.
// As an encoder it sees every patch: the reference's "shuffle" with mask ratio 0 is the identity and is left out.

import { type EncoderSpec, IMAGENET_MEAN, IMAGENET_STD, type PlainEncoderOptions } from './encoder.ts';

export function mae(options: PlainEncoderOptions): EncoderSpec {
  const { width, depth, heads, hidden, patch = 16, imageSize = 224, eps = 1e-12 } = options;
  const side = Math.floor(imageSize / patch);
  return {
    family: 'mae',
    vit: {
      width,
      depth,
      heads,
      hidden,
      patch,
      grid: [side, side],
      eps,
      tableResize: 'bicubic',
      finalNorm: options.normalize === false ? 'affine' : 'plain',
    },
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
  };
}

export const maeB = (options: Partial<PlainEncoderOptions> = {}) =>
  mae({ width: 768, depth: 12, heads: 12, hidden: 3072, ...options });
