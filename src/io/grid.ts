// Float pictures to bytes and to one picture of many: torchvision's make_grid and save_image, value by value in float32.

import type { Tensor } from '../tensor/index.ts';
import { ShapeError } from '../util/errors.ts';
import { encodePng, type RgbImage } from './image.ts';

export interface GridOptions {
  /** Pictures in a row; default 8. */
  nrow?: number;
  /** Pixels between and around pictures; default 2. A single picture gets none. */
  padding?: number;
  padValue?: number;
  /** Map [low, high] to [0, 1], clamping; `auto` takes the smallest and largest value of all pictures. */
  valueRange?: readonly [number, number] | 'auto';
}

/** Planar float picture: data[(c * height + y) * width + x]. */
export interface FloatImage {
  width: number;
  height: number;
  data: Float32Array;
}

/** PNG bytes of pictures [B, 1 or 3, H, W] in [0, 1], laid out in rows. */
export async function encodeGrid(images: Tensor, options: GridOptions = {}): Promise<Uint8Array> {
  return encodePng(toRgb(makeGrid(images, options)));
}

/** The grid [3, gridHeight, gridWidth] as floats. Copies the tensor to the CPU. */
export function makeGrid(images: Tensor, options: GridOptions = {}): FloatImage {
  const [count, channels, height, width] = images.dims(4);
  if (count < 1 || (channels !== 1 && channels !== 3)) {
    throw new ShapeError(`makeGrid: expected pictures [B, 1 or 3, H, W], received [${images.shape.join(', ')}].`);
  }
  const { nrow = 8, padValue = 0, valueRange } = options;
  const padding = count === 1 ? 0 : (options.padding ?? 2);
  const pixels = normalise(floats(images), valueRange);
  const columns = Math.min(nrow, count);
  const rows = Math.ceil(count / columns);
  const gridHeight = rows * (height + padding) + padding;
  const gridWidth = columns * (width + padding) + padding;
  const data = new Float32Array(3 * gridHeight * gridWidth).fill(padValue);
  for (let i = 0; i < count; i++) {
    const top = Math.floor(i / columns) * (height + padding) + padding;
    const left = (i % columns) * (width + padding) + padding;
    for (let c = 0; c < 3; c++) {
      const plane = (i * channels + (channels === 1 ? 0 : c)) * height * width;
      for (let y = 0; y < height; y++) {
        const row = pixels.subarray(plane + y * width, plane + (y + 1) * width);
        data.set(row, (c * gridHeight + top + y) * gridWidth + left);
      }
    }
  }
  return { width: gridWidth, height: gridHeight, data };
}

/** Interleaved bytes of a planar float picture, rounded half up. */
export function toRgb({ width, height, data }: FloatImage): RgbImage {
  const bytes = roundToBytes(data);
  const out = new Uint8Array(bytes.length);
  const plane = width * height;
  for (let i = 0; i < plane; i++) for (let c = 0; c < 3; c++) out[3 * i + c] = bytes[c * plane + i]!;
  return { width, height, data: out };
}

/** save_image's rule: x * 255 + 0.5, clamped, truncated. */
export function roundToBytes(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (x) => Math.min(Math.max(Math.fround(Math.fround(x * 255) + 0.5), 0), 255));
}

/** The rule of the reference's sampling and evaluation: clamp to [0, 1], times 255, truncated. */
export function truncateToBytes(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (x) => Math.fround(Math.min(Math.max(x, 0), 1) * 255));
}

function floats(images: Tensor): Float32Array {
  const values = images.dtype === 'f32' ? images.toArray() : images.detach().toNumbers();
  return Float32Array.from(values as ArrayLike<number>);
}

function normalise(pixels: Float32Array, range: GridOptions['valueRange']): Float32Array {
  if (range === undefined) return pixels;
  const [low, high] = range === 'auto' ? extremes(pixels) : range;
  const scale = Math.fround(Math.max(high - low, 1e-5));
  return pixels.map((x) => Math.fround(Math.min(Math.max(x, low), high) - low) / scale);
}

function extremes(values: Float32Array): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}
