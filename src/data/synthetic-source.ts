// The embedded set as a source: pictures are drawn when first asked for and stay in memory (3 KiB each at 32 pixels).

import { mirrorInPlace, type PictureSource } from './source.ts';
import { type SyntheticPart, syntheticClasses, syntheticImage, syntheticLabel } from './synthetic.ts';

export interface SyntheticSourceOptions {
  seed?: number;
  part?: SyntheticPart;
  /** Number of pictures; classes take turns, so every tenth is of the same class. */
  size?: number;
  side?: number;
  /** Mirror half of them by chance. */
  flip?: boolean;
}

export function syntheticSource(options: SyntheticSourceOptions = {}): PictureSource {
  const { seed = 0, part = 'train', side = 32, flip = false } = options;
  const size = options.size ?? (part === 'train' ? 10_000 : 1_000);
  const drawn = new Map<number, Uint8Array>();
  return {
    name: `the embedded set (${part})`,
    size,
    side,
    classes: syntheticClasses,
    label: syntheticLabel,
    describe: (index) => `embedded ${part} picture ${index}`,
    async read(index, draws, into) {
      let image = drawn.get(index);
      if (!image) {
        image = syntheticImage({ seed, index, size: side, part });
        drawn.set(index, image);
      }
      into.set(image);
      if (flip && draws.chance(0.5)) mirrorInPlace(into, side);
    },
  };
}
