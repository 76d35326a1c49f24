// A frozen encoder of stage 1: a ViT, the pixel mean and standard deviation it was trained with, and the rule that special
// tokens are dropped (spec 2). One small file a family beside this one gives the options.

import { Module } from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { ViT, type ViTForwardOptions, type ViTOptions } from '../vit.ts';

/** Everything that makes an encoder, as plain data: it travels in checkpoints. */
export interface EncoderSpec {
  /** Family, for messages and key adapters: dinov2, siglip2, mae, deit, vit. */
  family: string;
  vit: ViTOptions;
  /** Pixel mean and standard deviation per channel, of pixels in [0, 1]. */
  mean: readonly number[];
  std: readonly number[];
}

export interface EncoderOptions {
  /** Final norm without weight and bias (the rule of RAE; default). False keeps the checkpoint's affine. */
  normalize?: boolean;
}

/** Sizes of an encoder without registers, layer scale or SwiGLU. */
export interface PlainEncoderOptions extends EncoderOptions {
  width: number;
  depth: number;
  heads: number;
  hidden: number;
  patch?: number;
  imageSize?: number;
  eps?: number;
}

export const IMAGENET_MEAN = [0.485, 0.456, 0.406];
export const IMAGENET_STD = [0.229, 0.224, 0.225];

export class Encoder extends Module {
  readonly vit: ViT;
  readonly spec: EncoderSpec;

  constructor(spec: EncoderSpec) {
    super();
    this.vit = new ViT(spec.vit);
    this.spec = spec;
  }

  /** C, the width of a latent token. */
  get width(): number {
    return this.spec.vit.width;
  }

  /** Side of a patch in pixels. */
  get patch(): number {
    return this.spec.vit.patch;
  }

  /** Pixels normalised by `spec.mean` and `spec.std` [B, 3, H, W] -> patch tokens [B, N, C]. */
  forward(pixels: Tensor, options: ViTForwardOptions = {}): Tensor {
    return this.vit.forward(pixels, options).slice(1, this.vit.prefix); // [B, N, C]
  }
}
