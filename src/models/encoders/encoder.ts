// A frozen encoder of stage 1: a ViT, the pixel mean and standard deviation it was trained with, and the rule that special
// tokens are dropped (spec 2). One small file a family beside this one gives the options.

import { Module } from '../../nn/index.ts';
import { stack, type Tensor, tidy } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import { ViT, type ViTForwardOptions, type ViTOptions } from '../vit.ts';

/** Everything that makes an encoder, as plain data: it travels in checkpoints. */
export interface EncoderSpec {
  /** Family, for messages and key adapters: dinov2, dinov3, siglip2, mae, deit, vit. */
  family: string;
  vit: ViTOptions;
  /** Pixel mean and standard deviation per channel, of pixels in [0, 1]. */
  mean: readonly number[];
  std: readonly number[];
  /** Blocks (0 is the first) whose tokens, each through the final norm, are averaged (RAEv2; spec 18); the last one's alone when left out. */
  layers?: readonly number[];
  /** With `layers`: the mean token of the last of them is added to every token, as RAEv2 does for DINOv3 and SigLIP2. */
  addMean?: boolean;
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
    checkLayers(spec);
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
    const { layers } = this.spec;
    return tidy(() =>
      layers ? this.severalLayers(pixels, layers, options) : this.patches(this.vit.forward(pixels, options)),
    ); // [B, N, C]
  }

  private patches(tokens: Tensor): Tensor {
    return tokens.slice(1, this.vit.prefix); // [B, P + N, C] -> [B, N, C]
  }

  private severalLayers(pixels: Tensor, layers: readonly number[], { onBlock }: ViTForwardOptions): Tensor {
    const wanted: Tensor[] = []; // each [B, N, C]
    this.vit.forward(pixels, {
      blocks: Math.max(...layers) + 1,
      onBlock: (index, tokens) => {
        onBlock?.(index, tokens);
        if (layers.includes(index)) wanted.push(this.patches(this.vit.norm?.forward(tokens) ?? tokens));
      },
    });
    const mean = stack(wanted, 0).mean([0]); // [B, N, C]
    return this.spec.addMean ? mean.add(wanted.at(-1)!.mean([1], { keepdim: true })) : mean;
  }
}

function checkLayers({ layers, vit }: EncoderSpec): void {
  if (layers === undefined) return;
  const sound =
    layers.every((i) => Number.isInteger(i) && i >= 0 && i < vit.depth) && new Set(layers).size === layers.length;
  if (sound && layers.length > 0) return;
  throw new ArgumentError(expected('Encoder: layers', `different blocks from 0 to ${vit.depth - 1}`, layers));
}
