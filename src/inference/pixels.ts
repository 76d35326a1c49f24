// Between bytes and pictures as tensors: [B, H, W, 3] bytes on one side, [B, 3, H, W] floats in [0, 1] on the other.

import type { RgbImage } from '../io/image.ts';
import { type Device, fromBuffer, type Tensor, tidy } from '../tensor/index.ts';

/** RGB bytes [B, H, W, 3] -> float pictures [B, 3, H, W] in [0, 1], as torchvision's ToTensor makes them. */
export function toPixels(
  images: Uint8Array,
  [B, H, W]: readonly [number, number, number],
  device: Device = 'cpu',
): Tensor {
  return tidy(() => {
    const bytes = fromBuffer(images, { shape: [B, H, W, 3], dtype: 'u8' }).permute([0, 3, 1, 2]); // [B, 3, H, W]
    return bytes.contiguous().to({ dtype: 'f32', device }).div_(255); // rearranged as bytes: a quarter of the memory traffic
  });
}

/** Pictures [B, 3, H, W] in [0, 1], clamped and rounded to bytes [B, H, W, 3]. `truncate` cuts off as the reference's sampling does. */
export function toBytes(pixels: Tensor, { truncate = false }: { truncate?: boolean } = {}): Uint8Array {
  return tidy(() => {
    const scaled = pixels.detach().to('f32').clamp(0, 1).mul(255);
    const whole = truncate ? scaled : scaled.add(0.5);
    return whole.to('u8').permute([0, 2, 3, 1]).contiguous().toArray() as Uint8Array;
  });
}

/** One picture of many, RGB bytes [side, side, 3] each, in rows of `columns`, two black pixels between and around them; one alone has none. */
export function byteGrid(
  pictures: readonly Uint8Array[],
  { side, columns }: { side: number; columns: number },
): RgbImage {
  const gap = pictures.length === 1 ? 0 : 2;
  const across = Math.min(columns, pictures.length);
  const width = across * (side + gap) + gap;
  const height = Math.ceil(pictures.length / across) * (side + gap) + gap;
  const data = new Uint8Array(width * height * 3);
  for (const [i, picture] of pictures.entries()) {
    const left = (i % across) * (side + gap) + gap;
    const top = Math.floor(i / across) * (side + gap) + gap;
    for (let y = 0; y < side; y++) {
      data.set(picture.subarray(y * side * 3, (y + 1) * side * 3), ((top + y) * width + left) * 3);
    }
  }
  return { width, height, data };
}

/** The bytes of each picture in a batch [B, side, side, 3]. */
export function splitBytes(bytes: Uint8Array, side: number): Uint8Array[] {
  const size = side * side * 3;
  return Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}
