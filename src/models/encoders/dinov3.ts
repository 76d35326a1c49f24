// DINOv3 (Simeoni et al., 2025) as Hugging Face's DINOv3ViTModel computes it: rotary positions instead of a table, registers, LayerScale,
// exact GELU or SwiGLU (H+ and 7B), eps 1e-5, keys without bias (zeros here). The reference has no RAE over it; RAEv2 has.

import { type EncoderOptions, type EncoderSpec, IMAGENET_MEAN, IMAGENET_STD } from './encoder.ts';

export interface Dinov3Options extends EncoderOptions {
  width: number;
  depth: number;
  heads: number;
  registers?: number;
  patch?: number;
  /** Side in pixels that the model is used at when nothing else is said; positions fit any. */
  imageSize?: number;
  /** Hidden width of the feed-forward: four times the width when left out. */
  hidden?: number;
  swiglu?: boolean;
  eps?: number;
  /** Longest period of the positions, in units of half a picture. */
  ropeBase?: number;
}

export function dinov3(options: Dinov3Options): EncoderSpec {
  const { width, depth, heads, registers = 4, patch = 16, imageSize = 224, swiglu = false, eps = 1e-5 } = options;
  const side = Math.floor(imageSize / patch);
  return {
    family: 'dinov3',
    vit: {
      width,
      depth,
      heads,
      hidden: options.hidden ?? 4 * width,
      patch,
      grid: [side, side],
      positions: 'rotary',
      ropeBase: options.ropeBase ?? 100,
      registers,
      layerScale: true,
      feedForward: swiglu ? 'swiglu' : 'gelu',
      eps,
      finalNorm: options.normalize === false ? 'affine' : 'plain',
    },
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
  };
}

type SizeOptions = Omit<Dinov3Options, 'width' | 'depth' | 'heads' | 'swiglu'>;

export const dinov3S = (options: SizeOptions = {}) => dinov3({ width: 384, depth: 12, heads: 6, ...options });
export const dinov3B = (options: SizeOptions = {}) => dinov3({ width: 768, depth: 12, heads: 12, ...options });
export const dinov3L = (options: SizeOptions = {}) => dinov3({ width: 1024, depth: 24, heads: 16, ...options });
export const dinov3HPlus = (options: SizeOptions = {}) =>
  dinov3({ width: 1280, depth: 32, heads: 20, hidden: 5120, swiglu: true, ...options });
