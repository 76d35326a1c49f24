// Networks at a fixed batch. Kernels round differently for other batch sizes and for other rows of a batch, so a picture must meet
// the same size at the same place whoever its neighbours are: the last batch is padded (design, section 6).

import type { Rae } from '../models/rae.ts';
import { autocast, cat, noGrad, type Tensor, tidy } from '../tensor/index.ts';

export type Precision = 'fp32' | 'bf16';

/**
 * Tokens of a batch at which a CPU is within 5 % of its best time per sample (DiT^DH forward, one thread, AVX-512: 16 tokens 1.13 / 0.70 /
 * 0.64 ms at batch 4 / 16 / 32; 49 tokens 4.7 / 4.4 / 4.2 ms at 4 / 8 / 16; 256 tokens 136 / 129 / 124 ms at 1 / 2 / 4). More only
 * makes small requests pay for padding.
 */
const ROWS = 512;

/** Samples of `tokens` tokens that a network is given at once: a power of two from 1 to 32. */
export function networkBatch(tokens: number): number {
  return 2 ** Math.min(5, Math.max(0, Math.floor(Math.log2(ROWS / tokens))));
}

/**
 * Applies `fn` to the rows of `x`, `batch` at a time, without gradient. What is missing from the first batch, whose first row sits at
 * `place`, and from the last one is filled up with copies of a neighbour.
 */
export function inBatches(x: Tensor, batch: number, fn: (part: Tensor) => Tensor, place = 0): Tensor {
  const rows = x.size(0);
  return noGrad(() =>
    tidy(() => {
      const parts: Tensor[] = [];
      for (let start = -place; start < rows; start += batch) {
        const from = Math.max(0, start);
        const count = Math.min(rows, start + batch) - from;
        const full = padded(x.narrow(0, from, count), from - start, start + batch - from - count);
        parts.push(
          tidy(() =>
            fn(full)
              .narrow(0, from - start, count)
              .contiguous(),
          ),
        );
      }
      return parts.length === 1 ? parts[0]! : cat(parts, 0);
    }),
  );
}

/** Pictures [B, 3, H, W] in [0, 1] -> latents [B, C, h, w] in float32, the same for the same picture in any company. */
export function encodePictures(
  rae: Rae,
  pixels: Tensor,
  { precision }: { precision?: Precision | undefined } = {},
): Tensor {
  return inBatches(pixels, batchOf(rae), (part) => inPrecision(precision, () => rae.encode(part)));
}

/**
 * Latents [B, C, h, w] -> pictures [B, 3, H, W] in float32, clamped to [0, 1]. `index`, the number of the first one, says where in the
 * network's batch it belongs: one and the same picture comes out the same whichever part of a set is decoded.
 */
export function decodeLatents(
  rae: Rae,
  latents: Tensor,
  { precision, index = 0 }: { precision?: Precision | undefined; index?: number } = {},
): Tensor {
  const batch = batchOf(rae);
  const decode = (part: Tensor) => inPrecision(precision, () => rae.decode(part)).clamp(0, 1);
  return inBatches(latents, batch, decode, index % batch);
}

/** How many pictures to hold at once, by default about 16: a multiple of the networks' batch, so that each keeps its place in it. */
export function portionOf(rae: Rae, atLeast = 16): number {
  const batch = batchOf(rae);
  return batch * Math.ceil(atLeast / batch);
}

function batchOf(rae: Rae): number {
  return networkBatch(rae.latentSide ** 2);
}

function inPrecision(precision: Precision | undefined, fn: () => Tensor): Tensor {
  return autocast({ dtype: 'bf16', enabled: precision === 'bf16' }, fn).to('f32');
}

function padded(x: Tensor, front: number, back: number): Tensor {
  if (front === 0 && back === 0) return x;
  const copies = (row: number, count: number) => x.narrow(0, row, 1).expand([count, ...x.shape.slice(1)]);
  return cat([copies(0, front), x, copies(x.size(0) - 1, back)], 0);
}
