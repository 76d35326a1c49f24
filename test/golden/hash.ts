// Hash weights and hash images of the fixtures: tensors defined by a formula over their name (FNV-1a, then a 32-bit mixer),
// so that networks of fixed size need no large files.

import { type Tensor, tensor } from '../../src/tensor/index.ts';

const utf8 = new TextEncoder();

/** Uniform numbers in [0, 1) for flat indices 0...count-1 of the tensor called `name`. */
function uniforms(name: string, count: number): Float64Array {
  let seed = 0x811c9dc5;
  for (const byte of utf8.encode(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  const u = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    u[i] = ((x ^ (x >>> 16)) >>> 0) / 4294967296;
  }
  return u;
}

/** center + (2u - 1) * scale, rounded once to float32. */
export function hashTensor(name: string, shape: number[], { center = 0, scale = 1 } = {}): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensor(
    Float32Array.from(uniforms(name, count), (u) => center + (2 * u - 1) * scale),
    { shape },
  );
}

/** floor(256 u): the bytes of a hash image, row-major over [height, width, channel]. */
export function hashBytes(name: string, count: number): Uint8Array {
  return Uint8Array.from(uniforms(name, count), (u) => Math.floor(u * 256));
}
