// The embedded set: pictures drawn from a seed, one shape a picture, ten classes. Only the shape depends on the class;
// colours, textures, background, place, size, turn and stretch are random and independent of it, so that neither a colour
// histogram nor the mean picture tells the class. No files: picture `index` of a part is always drawn the same.

import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { clamp, drawBlobs, drawPalette, drawTexture } from './paint.ts';
import { Draws, stream } from './random.ts';
import { shapes } from './shapes.ts';

/** The class names, by label. */
export const syntheticClasses = Object.keys(shapes) as readonly (keyof typeof shapes)[];

/** Two parts with their own streams of random numbers: no picture of one is in the other. */
export type SyntheticPart = 'train' | 'heldout';
const parts = { train: 0, heldout: 1 } as const;

export interface SyntheticOptions {
  readonly seed: number;
  /** Any whole number from 0; the label is index mod 10. */
  readonly index: number;
  /** Side in pixels. */
  readonly size?: number;
  readonly part?: SyntheticPart;
}

export function syntheticLabel(index: number): number {
  return index % syntheticClasses.length;
}

/** Draws one picture: RGB bytes [size, size, 3]. The same key gives the same scene at every size. */
export function syntheticImage({ seed, index, size = 32, part = 'train' }: SyntheticOptions): Uint8Array {
  if (!Number.isInteger(size) || size < 8)
    throw new ArgumentError(expected('syntheticImage', 'a size of at least 8', size));
  if (!Number.isInteger(index) || index < 0)
    throw new ArgumentError(expected('syntheticImage', 'an index from 0', index));
  const draws = new Draws(stream.picture, seed, parts[part], index);
  const shape = shapes[syntheticClasses[syntheticLabel(index)]!];
  const pixel = 1 / size;

  // ── scene ─────────────────────────────────────────────
  const palette = drawPalette(draws);
  const radius = draws.between(0.33, 0.42);
  const room = 0.5 - 1.05 * radius;
  const centerX = 0.5 + draws.between(-room, room);
  const centerY = 0.5 + draws.between(-room, room);
  const turn = draws.between(-0.25, 0.25);
  const stretch = draws.between(0.9, 1.1);
  const ground = draws.chance(0.35) ? drawBlobs(draws) : drawTexture(draws, pixel, draws.between(0.16, 0.3));
  const fill = drawTexture(draws, pixel, draws.between(0.14, 0.2));
  const outline = draws.chance(0.25) ? draws.between(0.1, 0.15) : 0;
  const shadow = draws.chance(0.35) ? draws.between(0.2, 0.45) : 0;

  // ── pixels ────────────────────────────────────────────
  const cos = Math.cos(turn);
  const sin = Math.sin(turn);
  /** Signed distance to the shape at a place of the picture, in units of the picture's side. */
  const distance = (x: number, y: number) => {
    const u = (x - centerX) / radius;
    const v = (y - centerY) / radius;
    if (u * u + v * v > 3) return radius; // further out than anything that is drawn
    return shape((u * cos + v * sin) / stretch, (v * cos - u * sin) * stretch) * radius;
  };
  const data = new Uint8Array(size * size * 3);
  let at = 0;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = (column + 0.5) * pixel;
      const y = (row + 0.5) * pixel;
      const d = distance(x, y);
      const inside = clamp(0.5 - d / pixel);
      const light = shadow > 0 && inside < 1 ? 1 - shadow * clamp(0.5 - distance(x - 0.03, y - 0.05) / 0.1) : 1;
      const groundMix = inside < 1 ? ground(x, y) : 0;
      const fillMix = inside > 0 ? fill(x, y) : 0;
      const edge = outline > 0 ? clamp(0.5 + (d + outline * radius) / pixel) : 0;
      for (let c = 0; c < 3; c++) {
        const behind = light * mix(palette.ground[0][c]!, palette.ground[1][c]!, groundMix);
        const face = mix(mix(palette.shape[0][c]!, palette.shape[1][c]!, fillMix), palette.outline[c]!, edge);
        data[at++] = Math.round(255 * mix(behind, face, inside));
      }
    }
  }
  return data;
}

function mix(a: number, b: number, t: number): number {
  return a + (b - a) * t;
}
