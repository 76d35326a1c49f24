// The latent noise of stage 1, drawn by the loop for a whole batch: micro-batches take their slice, and the discriminator's step can use
// the same latents without it. What Rae.encode would add in training mode, number for number.

import type { Rae } from '../models/rae.ts';
import { type Generator, rand, randn, type Tensor, tidy } from '../tensor/index.ts';

export interface LatentNoise {
  sigma: Tensor; // [B, 1, 1], tau included
  noise: Tensor; // [B, N, C]
}

/** Strengths, then noise, in the order of Rae.encode; undefined without noise. */
export function drawLatentNoise(rae: Rae, B: number, generator?: Generator): LatentNoise | undefined {
  if (rae.noiseTau <= 0) return undefined;
  const shape = [B, 1, 1];
  const from = generator ? { generator } : {};
  const drawn = rae.noise === 'uniform' ? rand(shape, from) : randn(shape, from).abs();
  return { sigma: drawn.mul(rae.noiseTau), noise: randn([B, rae.latentSide ** 2, rae.encoder.width], from) };
}

/** Adds the noise of pictures at ... at + n - 1 to their n latents, [n, C, h, w] or tokens. Stage 1 has no statistics in between. */
export function addLatentNoise(latents: Tensor, drawn: LatentNoise | undefined, at: number): Tensor {
  if (drawn === undefined) return latents;
  const n = latents.size(0);
  return tidy(() => {
    const tokens = drawn.sigma.narrow(0, at, n).mul(drawn.noise.narrow(0, at, n)); // [n, N, C]
    return latents.add(latents.ndim === 3 ? tokens : tokens.transpose(1, 2).reshape(latents.shape));
  });
}
