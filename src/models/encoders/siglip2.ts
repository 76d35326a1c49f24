// Vision tower of SigLIP2 (Tschannen et al.; spec 2.2): no class token, tanh GELU, eps 1e-6, pixels to [-1, 1].

import type { EncoderSpec, PlainEncoderOptions } from './encoder.ts';

export function siglip2(options: PlainEncoderOptions): EncoderSpec {
  const { width, depth, heads, hidden, patch = 16, imageSize = 256, eps = 1e-6 } = options;
  const side = Math.floor(imageSize / patch);
  return {
    family: 'siglip2',
    vit: {
      width,
      depth,
      heads,
      hidden,
      patch,
      grid: [side, side],
      classToken: false,
      feedForward: 'gelu_pytorch_tanh',
      eps,
      tableResize: 'bicubic',
      finalNorm: options.normalize === false ? 'affine' : 'plain',
    },
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  };
}

export const siglip2B = (options: Partial<PlainEncoderOptions> = {}) =>
  siglip2({ width: 768, depth: 12, heads: 12, hidden: 3072, ...options });
