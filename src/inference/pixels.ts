// Between bytes and pictures as tensors: [B, H, W, 3] bytes on one side, [B, 3, H, W] floats in [0, 1] on the other.

import { type Device, fromBuffer, type Tensor, tidy } from '../tensor/index.ts';

/** RGB bytes [B, H, W, 3] -> float pictures [B, 3, H, W] in [0, 1], as torchvision's ToTensor makes them. */
export function toPixels(
  images: Uint8Array,
  [B, H, W]: readonly [number, number, number],
  device: Device = 'cpu',
): Tensor {
  return tidy(() => {
    const bytes = fromBuffer(images, { shape: [B, H, W, 3], dtype: 'u8' }).permute([0, 3, 1, 2]); // [B, 3, H, W]
    return bytes.to({ dtype: 'f32', device }).contiguous().div(255);
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
