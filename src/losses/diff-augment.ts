// Differentiable augmentation before the discriminator (Zhao et al. 2020, in the variant of StyleGAN-T and VAR; spec 6.3): translation, then
// brightness, saturation and contrast, then cutout. One coin per operation for the whole batch, parameters per sample, always float32.
// Differs from the reference: draws are made first and apart, on the host, so that micro-batches of one step can share them.

import { type Generator, pad, rand, stack, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ShapeError } from '../util/errors.ts';

const MAX_SHIFT = 0.125; // of the side

export interface DiffAugmentOptions {
  /** Probability of each operation; a negative one is its absolute value without cutout. */
  prob?: number;
  /** Side of the cut square relative to the picture's; 0 cuts nothing. */
  cutout?: number;
}

/** What one call needs by chance. */
export interface DiffAugmentDraws {
  /** Translation, colour, cutout: on where the number is at most |prob|. */
  coins: readonly number[];
  /** Rows of uniform numbers for the samples: translation y, x, brightness, saturation, contrast, cutout y, x. Empty when no coin is on. */
  uniforms: readonly (readonly number[])[];
}

/** Draws for a batch, in the reference's order: rand(3), then rand(7, B) if any operation is on. */
export function drawDiffAugment(
  batch: number,
  { prob = 1, generator }: DiffAugmentOptions & { generator?: Generator | undefined } = {},
): DiffAugmentDraws {
  if (Math.abs(prob) < 1e-6) return { coins: [1, 1, 1], uniforms: [] };
  return tidy(() => {
    const options = generator ? { generator } : {};
    const coins = rand([3], options).toNumbers();
    if (!coins.some((coin) => coin <= Math.abs(prob))) return { coins, uniforms: [] };
    return {
      coins,
      uniforms: rand([7, batch], options)
        .unbind(0)
        .map((row) => row.toNumbers()),
    };
  });
}

/** The draws of samples start ... start + length - 1 of a batch. */
export function sliceDraws({ coins, uniforms }: DiffAugmentDraws, start: number, length: number): DiffAugmentDraws {
  return { coins, uniforms: uniforms.map((row) => row.slice(start, start + length)) };
}

/** Augments pictures [B, C, H, W]; gradients flow to them. */
export function diffAugment(
  images: Tensor,
  { coins, uniforms }: DiffAugmentDraws,
  { prob = 1, cutout = 0.2 }: DiffAugmentOptions = {},
): Tensor {
  const [B] = images.dims(4);
  const [translate, colour, cut] = coins.map((coin) => coin <= Math.abs(prob));
  const x = images.to('f32');
  if (!translate && !colour && !cut) return x;
  if (uniforms.length !== 7 || uniforms.some((row) => row.length !== B))
    throw new ShapeError(
      expected(
        'diffAugment',
        `7 rows of ${B} draws`,
        uniforms.map((row) => row.length),
      ),
    );
  const [shiftY = [], shiftX = [], brightness = [], saturation = [], contrast = [], cutY = [], cutX = []] = uniforms;
  return tidy(() => {
    let y = x;
    if (translate) y = translation(y, shiftY, shiftX);
    if (colour) y = colours(y, brightness, saturation, contrast);
    if (cut && prob > 0) y = cutouts(y, cutY, cutX, cutout);
    return y;
  });
}

/** Shifts each picture by up to an eighth of its sides; what comes in from outside is 0. */
function translation(x: Tensor, shiftY: readonly number[], shiftX: readonly number[]): Tensor {
  const [, , H, W] = x.dims(4);
  const rows = roundHalfEven(H * MAX_SHIFT);
  const columns = roundHalfEven(W * MAX_SHIFT);
  const moved = x.unbind(0).map((image, i) => {
    const dy = floorProduct(shiftY[i]!, 2 * rows + 1) - rows;
    const dx = floorProduct(shiftX[i]!, 2 * columns + 1) - columns;
    return pad(image, [-dx, dx, -dy, dy]); // a negative pad cuts: out[y, x] = in[y + dy, x + dx]
  });
  return stack(moved, 0);
}

function colours(x: Tensor, brightness: readonly number[], saturation: readonly number[], contrast: readonly number[]) {
  const perSample = (values: readonly number[], f: (u: Tensor) => Tensor) =>
    f(tensor(values, { shape: [values.length, 1, 1, 1], device: x.device }));
  const brighter = x.add(perSample(brightness, (u) => u.sub(0.5)));
  const grey = brighter.mean([1], { keepdim: true }); // [B, 1, H, W]
  const saturated = brighter
    .sub(grey)
    .mul(perSample(saturation, (u) => u.mul(2)))
    .add(grey);
  const level = saturated.mean([1, 2, 3], { keepdim: true }); // [B, 1, 1, 1]
  return saturated
    .sub(level)
    .mul(perSample(contrast, (u) => u.add(0.5)))
    .add(level);
}

/** Zeroes a rectangle around a random centre. Where it leaves the picture its lines pile up on the border, so at least one line is cut. */
function cutouts(x: Tensor, cutY: readonly number[], cutX: readonly number[], ratio: number): Tensor {
  const [B, , H, W] = x.dims(4);
  const mask = new Float32Array(B * H * W).fill(1);
  for (let i = 0; i < B; i++) {
    const [top, bottom] = cutRange(cutY[i]!, H, ratio);
    const [left, right] = cutRange(cutX[i]!, W, ratio);
    for (let row = top; row < bottom; row++) mask.fill(0, (i * H + row) * W + left, (i * H + row) * W + right);
  }
  return x.mul(tensor(mask, { shape: [B, 1, H, W], device: x.device }));
}

/** First and behind-last line of the cut along an axis of `side` pixels. */
function cutRange(uniform: number, side: number, ratio: number): [number, number] {
  const size = roundHalfEven(side * ratio);
  if (size === 0) return [0, 0];
  const start = floorProduct(uniform, side + 1 - (size % 2)) - Math.floor(size / 2);
  const inside = (line: number) => Math.min(Math.max(line, 0), side - 1);
  return [inside(start), inside(start + size - 1) + 1];
}

/** floor(u * n) with the product rounded to float32, as the reference has it. */
function floorProduct(u: number, n: number): number {
  return Math.floor(Math.fround(Math.fround(u) * n));
}

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
