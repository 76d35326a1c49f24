// Pictures for a verb that works over a model's training set: those named by a flag, else those that the model's run names.

import type { RunConfig } from '../config/index.ts';
import { admCrop, openSource, type PictureSource, syntheticSource } from '../data/index.ts';
import { ConfigError } from '../util/errors.ts';

export interface ModelPicturesOptions {
  /** What the flag names. */
  data?: string | undefined;
  /** The flag, for messages. */
  flag: string;
  side: number;
  /** Mirror half of them by chance. */
  flip?: boolean;
}

/** As stage 2 sees them: centre crops. ConfigError when nothing names pictures. */
export async function modelPictures(
  config: RunConfig | undefined,
  { data, flag, side, flip = false }: ModelPicturesOptions,
): Promise<PictureSource> {
  const { path, synthetic, exif = true } = config?.data ?? {};
  if (data === undefined && path === undefined && synthetic !== undefined) {
    return syntheticSource({ seed: synthetic.seed, size: synthetic.train_size, side, flip });
  }
  const folder = data ?? path;
  if (folder === undefined) throw new ConfigError(`${flag}: expected a folder of pictures, received none.`);
  return openSource(folder, { transform: admCrop(side, { flip }), exif, cacheBytes: 0 });
}
