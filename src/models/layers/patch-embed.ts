// Patch embedding of a ViT: a convolution whose stride is its kernel. Keys as in timm (`patch_embed.proj`).

import { Conv2d, type InitOptions, Module } from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';
import { ShapeError } from '../../util/errors.ts';

export class PatchEmbed extends Module {
  readonly proj: Conv2d;
  readonly patch: number;

  constructor({ patch, channels, width, generator }: { patch: number; channels: number; width: number } & InitOptions) {
    super();
    this.proj = new Conv2d(channels, width, patch, { stride: patch, generator });
    this.patch = patch;
  }

  /** Patches down and across; ShapeError when the picture does not divide. */
  grid(pixels: Tensor): [rows: number, columns: number] {
    const [, , H, W] = pixels.dims(4);
    if (H % this.patch !== 0 || W % this.patch !== 0) {
      throw new ShapeError(
        `PatchEmbed: expected sides divisible by the patch size ${this.patch}, received ${H} x ${W}. Resize the images.`,
      );
    }
    return [H / this.patch, W / this.patch];
  }

  forward(pixels: Tensor): Tensor {
    const { dtype } = this.proj.weight;
    const x = this.proj.forward(pixels.dtype === dtype ? pixels : pixels.to(dtype)); // [B, D, h, w]
    return x.flatten(2, 3).transpose(1, 2); // [B, h*w, D]
  }
}
