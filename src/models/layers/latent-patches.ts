// Latents to tokens (reference: timm's PatchEmbed; spec 8.1). patches.ts has the way back, with another order inside a patch.
// Differs from the reference in how it is computed: kernel and stride being equal, the convolution is a linear layer over patches.

import { Conv2d, init, Module } from '../../nn/index.ts';
import { type Generator, linear, type Tensor } from '../../tensor/index.ts';

// Shapes: B batch, C channels, p patch, N = (h / p)(w / p) tokens row-major, D width.

/** Embedding of patches, with the keys of a convolution: `proj.weight` [D, C, p, p] and `proj.bias`. */
export class PatchEmbedding extends Module {
  readonly proj: Conv2d;

  /** Xavier-uniform over the flattened kernel, zero bias (DiT). */
  constructor({
    channels,
    patch,
    width,
    generator,
  }: { channels: number; patch: number; width: number; generator?: Generator | undefined }) {
    super();
    this.proj = new Conv2d(channels, width, patch, { stride: patch, generator });
    init.xavierUniform_(this.proj.weight, { flat: true, generator });
    init.zeros_(this.proj.bias!);
  }

  /** Patches [B, N, C p p] as `kernelPatches` gives them -> tokens [B, N, D]. */
  forward(patches: Tensor): Tensor {
    return linear(patches, this.proj.weight.flatten(1, 3), this.proj.bias);
  }
}

/** [B, C, h, w] -> [B, N, C p p], each patch in the order of a convolution's kernel: channel, row, column. */
export function kernelPatches(x: Tensor, patch: number): Tensor {
  const [B, C, h, w] = x.dims(4);
  if (patch === 1) return x.flatten(2, 3).transpose(1, 2).contiguous();
  const cells = x.reshape([B, C, h / patch, patch, w / patch, patch]).permute([0, 2, 4, 1, 3, 5]);
  return cells.reshape([B, (h / patch) * (w / patch), C * patch * patch]);
}
