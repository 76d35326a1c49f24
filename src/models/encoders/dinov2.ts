// DINOv2 with and without registers (Oquab et al.; Darcet et al.; spec 2.1): LayerScale, exact GELU or SwiGLU (giant), eps 1e-6.
// The two differ in more than the registers: only the one with registers shrinks its position table with antialias.

import { type EncoderOptions, type EncoderSpec, IMAGENET_MEAN, IMAGENET_STD } from './encoder.ts';

export interface Dinov2Options extends EncoderOptions {
  width: number;
  depth: number;
  heads: number;
  /** 0: plain DINOv2. */
  registers?: number;
  patch?: number;
  /** Side in pixels of the pictures that the position table was trained on. */
  imageSize?: number;
  /** Hidden width of the feed-forward: four times the width, two thirds of that with SwiGLU, when left out. */
  hidden?: number;
  swiglu?: boolean;
  eps?: number;
}

export function dinov2(options: Dinov2Options): EncoderSpec {
  const { width, depth, heads, registers = 4, patch = 14, imageSize = 518, swiglu = false, eps = 1e-6 } = options;
  const side = Math.floor(imageSize / patch);
  return {
    family: 'dinov2',
    vit: {
      width,
      depth,
      heads,
      hidden: options.hidden ?? (swiglu ? Math.floor((Math.floor((width * 8) / 3) + 7) / 8) * 8 : 4 * width),
      patch,
      grid: [side, side],
      registers,
      layerScale: true,
      feedForward: swiglu ? 'swiglu' : 'gelu',
      eps,
      tableResize: registers > 0 ? 'bicubic-antialias' : 'bicubic',
      finalNorm: options.normalize === false ? 'affine' : 'plain',
    },
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
  };
}

type SizeOptions = Omit<Dinov2Options, 'width' | 'depth' | 'heads' | 'swiglu'>;

export const dinov2S = (options: SizeOptions = {}) => dinov2({ width: 384, depth: 12, heads: 6, ...options });
export const dinov2B = (options: SizeOptions = {}) => dinov2({ width: 768, depth: 12, heads: 12, ...options });
export const dinov2L = (options: SizeOptions = {}) => dinov2({ width: 1024, depth: 24, heads: 16, ...options });
export const dinov2G = (options: SizeOptions = {}) =>
  dinov2({ width: 1536, depth: 40, heads: 24, swiglu: true, ...options });
