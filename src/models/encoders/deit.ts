// DeiT and the other plain ViTs of timm (Touvron et al.): class token, exact GELU, eps 1e-6, heads of 64.
// timm brings the position table to another grid bicubically with antialias.

import { type EncoderOptions, type EncoderSpec, IMAGENET_MEAN, IMAGENET_STD } from './encoder.ts';

export interface DeitOptions extends EncoderOptions {
  width: number;
  depth: number;
  heads: number;
  patch?: number;
  imageSize?: number;
  hidden?: number;
}

export function deit(options: DeitOptions): EncoderSpec {
  const { width, depth, heads, patch = 16, imageSize = 224, hidden = 4 * width } = options;
  const side = Math.floor(imageSize / patch);
  return {
    family: 'deit',
    vit: {
      width,
      depth,
      heads,
      hidden,
      patch,
      grid: [side, side],
      eps: 1e-6,
      tableResize: 'bicubic-antialias',
      finalNorm: options.normalize === false ? 'affine' : 'plain',
    },
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
  };
}

export const deitTiny = (options: Partial<DeitOptions> = {}) => deit({ width: 192, depth: 12, heads: 3, ...options });
