// DINO (v1; Caron et al., 2021): ViT-S and ViT-B with patches of 8 or 16, class token, exact GELU, eps 1e-6. Differs from DeiT in how its
// position table is brought to another grid: bicubically without antialias, by a scale factor with 0.1 patches added.
// As the discriminator's trunk the reference uses tanh-GELU instead (dino-trunk.ts).

import { type DeitOptions, deit } from './deit.ts';
import type { EncoderSpec } from './encoder.ts';

export function dino(options: DeitOptions): EncoderSpec {
  const spec = deit(options);
  return { ...spec, family: 'dino', vit: { ...spec.vit, tableResize: 'bicubic-offset' } };
}

type SizeOptions = Omit<DeitOptions, 'width' | 'depth' | 'heads'>;

export const dinoS = (options: SizeOptions = {}) => dino({ width: 384, depth: 12, heads: 6, ...options });
export const dinoB = (options: SizeOptions = {}) => dino({ width: 768, depth: 12, heads: 12, ...options });
