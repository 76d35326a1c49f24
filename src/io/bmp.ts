// Windows bitmaps, which sharp does not read: uncompressed 24 and 32 bits, and 8 bits with a palette.

import { DataError } from '../util/errors.ts';
import type { RgbImage } from './rgb-image.ts';

/** "BM" and a header size that fits. */
export function isBmp(bytes: Uint8Array): boolean {
  return bytes.length >= 54 && bytes[0] === 0x42 && bytes[1] === 0x4d && (bytes[14] ?? 0) >= 40;
}

/** Decode; rows are stored bottom-up (top-down with a negative height) and padded to 4 bytes, colours as B, G, R. */
export function decodeBmp(bytes: Uint8Array, { name, maxPixels }: { name: string; maxPixels: number }): RgbImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = view.getUint32(10, true);
  const width = view.getInt32(18, true);
  const signedHeight = view.getInt32(22, true);
  const height = Math.abs(signedHeight);
  const bits = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  if (![8, 24, 32].includes(bits) || compression !== 0) {
    throw new DataError(
      `${name}: expected an uncompressed bitmap of 8, 24 or 32 bits, received ${bits} bits, compression ${compression}.`,
    );
  }
  const stride = Math.ceil((width * bits) / 32) * 4;
  if (width < 1 || height < 1 || width * height > maxPixels || start + stride * height > bytes.length) {
    throw new DataError(
      `${name}: expected ${stride * height} bytes of pixels for ${width} x ${height}, received ${bytes.length - start}.`,
    );
  }
  const palette = 14 + view.getUint32(14, true);
  if (bits === 8 && palette + 4 * 256 > start)
    throw new DataError(`${name}: expected a palette of 256 colours before the pixels.`);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = start + stride * (signedHeight > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++) {
      const at = bits === 8 ? palette + 4 * bytes[row + x]! : row + (x * bits) / 8;
      data.set([bytes[at + 2]!, bytes[at + 1]!, bytes[at]!], (y * width + x) * 3);
    }
  }
  return { width, height, data };
}
