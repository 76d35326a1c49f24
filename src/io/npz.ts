// NumPy archives (.npz): a zip of .npy entries, stored or deflated. Also the two kinds that the evaluation exchanges: batches
// of pictures (arr_0) and Inception moments (mu, sigma), as guided-diffusion's reference files have them.

import { writeFileAtomic } from '../util/atomic-write.ts';
import { DataError } from '../util/errors.ts';
import { memorySource, withFile } from './file-reader.ts';
import { type NpyArray, npyHeader, npyPieces, readNpy } from './npy.ts';
import { elementBytes, elementCount } from './storage-dtype.ts';
import { ZipReader } from './zip.ts';
import { type ZipInput, zipPieces } from './zip-writer.ts';

/** Every array by its key, or those of `keys` that are there; entries that are not .npy are left out, as NumPy does with them. */
export function loadNpz(path: string, keys?: readonly string[]): Map<string, NpyArray> {
  return withFile(path, (file) => {
    const zip = new ZipReader(file);
    const wanted = (name: string) => name.endsWith('.npy') && (keys?.includes(name.slice(0, -4)) ?? true);
    const names = [...zip.entries.keys()].filter(wanted);
    return new Map(names.map((name) => [name.slice(0, -4), readNpy(memorySource(zip.read(name), `${path}: ${name}`))]));
  });
}

/** A single array from an .npy file. */
export function loadNpy(path: string): NpyArray {
  return withFile(path, readNpy);
}

/** An array whose elements are made piece by piece: the pieces' bytes together fill the shape. */
export interface NpyStream {
  shape: readonly number[];
  dtype: NpyArray['dtype'];
  pieces: Iterable<Uint8Array>;
}

/** Write arrays atomically, stored, zip64 where needed. Arrays larger than memory are given as streams. */
export function saveNpz(path: string, arrays: ReadonlyMap<string, NpyArray | NpyStream>): void {
  const inputs = Array.from(arrays, ([key, array]): ZipInput => ({ name: `${key}.npy`, data: entryData(key, array) }));
  writeFileAtomic(path, zipPieces(inputs));
}

/** Write one array atomically. */
export function saveNpy(path: string, array: NpyArray): void {
  checkLength(path, array, array.data.byteLength);
  writeFileAtomic(path, npyPieces(array));
}

function entryData(key: string, array: NpyArray | NpyStream): ZipInput['data'] {
  if ('pieces' in array) return streamed(key, array);
  checkLength(key, array, array.data.byteLength);
  return Buffer.concat(npyPieces(array));
}

function* streamed(key: string, { shape, dtype, pieces }: NpyStream): Generator<Uint8Array> {
  yield npyHeader({ shape, dtype });
  let length = 0;
  for (const piece of pieces) {
    length += piece.length;
    yield piece;
  }
  checkLength(key, { shape, dtype }, length);
}

function checkLength(key: string, { shape, dtype }: Pick<NpyArray, 'shape' | 'dtype'>, length: number): void {
  const bytes = (elementCount(shape) ?? Number.NaN) * elementBytes(dtype);
  if (bytes !== length)
    throw new DataError(
      `saveNpz: '${key}': expected ${bytes} bytes for ${dtype} [${shape.join(', ')}], received ${length}.`,
    );
}

/** The pictures of a batch file: arr_0 (or images), uint8 [N, H, W, 3]. DataError lists the keys that are there. */
export function batchImages(
  arrays: ReadonlyMap<string, NpyArray>,
  { name }: { name: string },
): NpyArray & { data: Uint8Array } {
  const array = arrays.get('arr_0') ?? arrays.get('images');
  if (array === undefined)
    throw new DataError(`${name}: expected pictures under arr_0, received the keys ${[...arrays.keys()].join(', ')}.`);
  const { dtype, shape, data } = array;
  if (dtype !== 'u8' || shape.length !== 4 || shape[3] !== 3 || !(data instanceof Uint8Array)) {
    throw new DataError(`${name}: arr_0: expected uint8 [N, H, W, 3], received ${dtype} [${shape.join(', ')}].`);
  }
  return { dtype, shape, data };
}

/** Moments under the given keys: mean [D] and covariance [D, D] in float64. */
export function batchMoments(
  arrays: ReadonlyMap<string, NpyArray>,
  { name, keys = ['mu', 'sigma'] }: { name: string; keys?: readonly [string, string] },
): { mean: Float64Array; covariance: Float64Array } {
  const [mean, covariance] = keys.map((key) => {
    const array = arrays.get(key);
    if (array === undefined)
      throw new DataError(`${name}: expected ${key}, received the keys ${[...arrays.keys()].join(', ')}.`);
    if (array.dtype !== 'f64' && array.dtype !== 'f32')
      throw new DataError(`${name}: ${key}: expected floats, received ${array.dtype}.`);
    return { shape: array.shape, data: Float64Array.from(array.data as Float64Array) };
  });
  const size = mean?.shape.length === 1 ? mean.shape[0] : undefined;
  if (size === undefined || covariance?.shape.length !== 2 || covariance.shape.some((n) => n !== size)) {
    throw new DataError(
      `${name}: expected ${keys[0]} [D] and ${keys[1]} [D, D], received [${mean?.shape.join(', ')}] and [${covariance?.shape.join(', ')}].`,
    );
  }
  return { mean: mean!.data, covariance: covariance.data };
}
