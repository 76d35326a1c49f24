// JPEGs for the data pipeline: drawn shapes with grain, of ImageNet's usual size and weight (500 x 375, about 110 kB), so that decoding
// costs what it does on photographs.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { scriptsModule } from '../src/cli/scripts.ts';
import { syntheticImage } from '../src/data/index.ts';

const [WIDTH, HEIGHT] = [500, 375];
const GRAIN = 12; // standard deviation in levels: with quality 90 it gives the weight above

/** A folder with `count` pictures in the user cache, drawn on first use. */
export async function benchPictures(count: number): Promise<string> {
  const { cacheFolder } = await scriptsModule('paths');
  const folder = join(cacheFolder(), 'bench', `jpeg-${WIDTH}x${HEIGHT}-${count}`);
  if (existsSync(folder)) return folder;
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(join(part, 'drawn'), { recursive: true });
  const noise = { type: 'gaussian', mean: 128, sigma: GRAIN } as const;
  const grain = await sharp({ create: { width: WIDTH, height: HEIGHT, channels: 3, background: '#808080', noise } })
    .png()
    .toBuffer();
  for (let index = 0; index < count; index++) {
    const size = 64;
    const drawn = sharp(syntheticImage({ seed: 0, index, size }), { raw: { width: size, height: size, channels: 3 } });
    await drawn
      .resize(WIDTH, HEIGHT, { fit: 'cover' })
      .composite([{ input: grain, blend: 'hard-light' }])
      .jpeg({ quality: 90 })
      .toFile(join(part, 'drawn', `${String(index).padStart(4, '0')}.jpg`));
  }
  renameSync(part, folder);
  return folder;
}
