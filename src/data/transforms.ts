// From a picture of any size to a square crop: the geometry of ADM's centre crop (spec 13.4) and of the reference's stage-1
// transform (spec 7), as steps for resample(). Random choices come from the Draws of (seed, epoch, index) alone.

import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import type { Draws } from './random.ts';
import type { Step } from './resample.ts';

/** How pictures become squares of `side` pixels. */
export interface Transform {
  readonly side: number;
  /** Whether `crop` uses the draws; if not, crops can be kept in memory. */
  readonly random: boolean;
  /** Mirror half of the pictures, chosen by a draw after those of `crop`. */
  readonly flip: boolean;
  crop(width: number, height: number, draws: Draws): Step[];
}

/** The reference's crop for stage 2, statistics and evaluation. Stage 2 trains with `flip`. */
export function admCrop(side: number, { flip = false }: { flip?: boolean } = {}): Transform {
  checkSide('admCrop', side);
  return { side, flip, random: false, crop: (width, height) => admSteps(width, height, side) };
}

/** The reference's crop for stage 1: short side to 1.5 times the side, then anywhere. It does not flip. */
export function randomCrop(side: number, { flip = false }: { flip?: boolean } = {}): Transform {
  checkSide('randomCrop', side);
  const short = stage1ShortSide(side);
  return {
    side,
    flip,
    random: true,
    crop(width, height, draws) {
      const [w, h] = resizedShortSide(width, height, short);
      const top = draws.below(h - side + 1);
      const left = draws.below(w - side + 1);
      return [{ resize: [w, h], filter: 'bicubic' }, { crop: [left, top, side, side] }];
    },
  };
}

/** BOX halvings while the short side is at least twice `side`, BICUBIC to `side`, then the middle (offsets rounded down). */
export function admSteps(width: number, height: number, side: number): Step[] {
  const steps: Step[] = [];
  let [w, h] = [width, height];
  while (Math.min(w, h) >= 2 * side) {
    [w, h] = [Math.floor(w / 2), Math.floor(h / 2)];
    steps.push({ resize: [w, h], filter: 'box' });
  }
  const scale = side / Math.min(w, h);
  [w, h] = [roundHalfEven(w * scale), roundHalfEven(h * scale)];
  steps.push({ resize: [w, h], filter: 'bicubic' });
  steps.push({ crop: [Math.floor((w - side) / 2), Math.floor((h - side) / 2), side, side] });
  return steps;
}

/** 384 for 256 pixels, as the reference; both that and the rest are 1.5 times the side, rounded down. */
export function stage1ShortSide(side: number): number {
  return Math.floor(1.5 * side);
}

/** torchvision's Resize(short): the long side is cut off to a whole number, where the ADM crop rounds it. */
export function resizedShortSide(width: number, height: number, short: number): [width: number, height: number] {
  const long = Math.floor((short * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? [short, long] : [long, short];
}

/** torchvision's CenterCrop: offsets rounded half to even, black borders where the picture is smaller. */
export function centerCropStep(width: number, height: number, cropWidth: number, cropHeight: number): Step {
  const offset = (from: number, to: number) => {
    const padding = Math.floor(Math.max(0, to - from) / 2);
    return roundHalfEven((Math.max(from, to) - to) / 2) - padding;
  };
  return { crop: [offset(width, cropWidth), offset(height, cropHeight), cropWidth, cropHeight] };
}

/** Python's round(). */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function checkSide(where: string, side: number): void {
  if (!Number.isInteger(side) || side < 1) {
    throw new ConfigError(expected(where, 'a side of at least one whole pixel', side, 'Set data.image_size.'));
  }
}
