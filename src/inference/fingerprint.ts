// Whether two models are the same one: a checksum of their numbers, whatever file they came from.

import { crc32 } from 'node:zlib';
import type { Tensor } from '../tensor/index.ts';

/** CRC-32 over names, shapes and bytes, as eight hexadecimal digits; a second or so per gigabyte. */
export function fingerprint(tensors: Iterable<readonly [name: string, tensor: Tensor | undefined]>): string {
  let crc = 0;
  for (const [name, tensor] of tensors) {
    if (tensor === undefined) continue;
    crc = crc32(Buffer.from(`${name} ${tensor.dtype} [${tensor.shape}]`), crc);
    crc = crc32(tensor.toBytes(), crc);
  }
  return crc.toString(16).padStart(8, '0');
}
