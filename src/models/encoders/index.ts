// The encoder families by name.

import { deit } from './deit.ts';
import { dino } from './dino.ts';
import { dinov2 } from './dinov2.ts';
import { dinov3 } from './dinov3.ts';
import { mae } from './mae.ts';
import { siglip2 } from './siglip2.ts';

export { deit, deitTiny } from './deit.ts';
export { dino, dinoB, dinoS } from './dino.ts';
export { dinov2, dinov2B, dinov2G, dinov2L, dinov2S } from './dinov2.ts';
export { dinov3, dinov3B, dinov3HPlus, dinov3L, dinov3S } from './dinov3.ts';
export { Encoder, type EncoderOptions, type EncoderSpec, IMAGENET_MEAN, IMAGENET_STD } from './encoder.ts';
export { mae, maeB } from './mae.ts';
export { siglip2, siglip2B } from './siglip2.ts';

export const encoders = { dinov2, dinov3, siglip2, mae, deit, dino } as const;
