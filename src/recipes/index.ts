// Configurations by name. A recipe says what it is for, on which hardware, and what to expect of it, in its file's header.

import type { RunConfigInput } from '../config/index.ts';
import { nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { clothingDit, clothingRae } from './clothing.ts';
import { clothing80Dit, clothing80Rae } from './clothing80.ts';
import { embeddedDit, embeddedEncoder, embeddedRae } from './embedded.ts';
import { dinov2Rae, gpu24Rae, maeRae, siglip2Rae } from './paper.ts';
import { photosDit, photosEncoder, photosRae } from './photos.ts';

export const recipes = {
  'embedded-encoder': { about: 'MAE pretraining on the embedded set (32 px, 16 tokens of 64)', make: embeddedEncoder },
  'embedded-rae': { about: 'decoder over the embedded encoder', make: embeddedRae },
  'embedded-dit': { about: 'DiT^DH on the embedded latents', make: embeddedDit },
  'clothing-rae': { about: 'decoder over DeiT-Tiny at 112 px, L1 + LPIPS', make: clothingRae },
  'clothing-dit': { about: 'DiT^DH (5.5 M) on DeiT-Tiny latents at 112 px', make: clothingDit },
  'clothing80-rae': {
    about: 'decoder over DeiT-Tiny at 80 px, all three phases, for experiments',
    make: clothing80Rae,
  },
  'clothing80-dit': { about: 'DiT^DH (5.5 M) on DeiT-Tiny latents at 80 px, for experiments', make: clothing80Dit },
  'dinov2-rae': { about: "the paper's decoder (ViT-XL, 256 px) over DINOv2-B, for ImageNet", make: dinov2Rae },
  'siglip2-rae': { about: "the paper's decoder over SigLIP2-B", make: siglip2Rae },
  'mae-rae': { about: "the paper's decoder over MAE-B", make: maeRae },
  'gpu24-rae': { about: 'a ViT-B decoder at 256 px over DINOv2-B, sized for one 24 GB GPU', make: gpu24Rae },
  'photos-encoder': { about: 'MAE pretraining on your photographs (64 px), for a few CPU cores', make: photosEncoder },
  'photos-rae': { about: 'decoder for your photographs (64 px)', make: photosRae },
  'photos-dit': { about: 'DiT^DH for your photographs (64 px)', make: photosDit },
} as const satisfies Record<string, { about: string; make: () => RunConfigInput }>;

/** The recipe of this name, before defaults and overrides. ConfigError names the nearest known one. */
export function recipe(name: string): RunConfigInput {
  if (Object.hasOwn(recipes, name)) return recipes[name as keyof typeof recipes].make();
  const near = nearest(name, Object.keys(recipes));
  throw new ConfigError(
    `--recipe: expected a known name, received '${name}'. ${near ? `Did you mean '${near}'?` : `Known: ${Object.keys(recipes).join(', ')}.`}`,
  );
}
