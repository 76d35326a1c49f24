// PyTorch checkpoints by hand: a pickle writer of a few lines, and both containers around what it writes.

import { zipPieces } from '../../src/io/zip-writer.ts';

export type Bytes = Uint8Array;
export const cat = (...parts: Bytes[]): Bytes => Buffer.concat(parts);
export const raw = (text: string): Bytes => Buffer.from(text, 'latin1');
export const u32 = (n: number): Bytes => Buffer.from(new Int32Array([n]).buffer);
export const str = (text: string) => cat(raw('X'), u32(Buffer.byteLength(text)), Buffer.from(text));
export const int = (n: number) => cat(raw('J'), u32(n));
export const named = (module: string, name: string) => raw(`c${module}\n${name}\n`);
export const tuple = (...items: Bytes[]) => cat(raw('('), ...items, raw('t'));
export const ints = (values: number[]) => tuple(...values.map(int));
export const dict = (entries: Record<string, Bytes>) =>
  cat(raw('}('), ...Object.entries(entries).flatMap(([key, value]) => [str(key), value]), raw('u'));
export const ordered = cat(named('collections', 'OrderedDict'), raw(')R'));
export const storage = (type: string, key: string, elements: number) =>
  cat(tuple(str('storage'), named('torch', type), str(key), str('cuda:0'), int(elements)), raw('Q'));
export const tensorOf = (
  of: Bytes,
  { offset = 0, size, stride }: { offset?: number; size: number[]; stride: number[] },
) =>
  cat(
    named('torch._utils', '_rebuild_tensor_v2'),
    tuple(of, int(offset), ints(size), ints(stride), raw('\x89'), ordered),
    raw('R'),
  );
export const pickle = (value: Bytes) => cat(raw('\x80\x02'), value, raw('.'));

/** The zip container around a pickled value. */
export function zipFile(value: Bytes, storages: Record<string, Bytes> = {}): Bytes {
  return zipAround(pickle(value), storages);
}

/** The zip container around the bytes of data.pkl, whatever they are. */
export function zipAround(data: Bytes, storages: Record<string, Bytes> = {}): Bytes {
  const entries = Object.entries(storages).map(([key, bytes]) => ({ name: `a/data/${key}`, data: bytes }));
  return cat(...zipPieces([{ name: 'a/data.pkl', data }, ...entries], { align: 64 }));
}

/** The container before PyTorch 1.6. `width`: bytes of an element of every storage. */
export function legacyFile(value: Bytes, storages: Record<string, Bytes>, width = 4): Bytes {
  const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
  const keys = cat(raw(']('), ...Object.keys(storages).map(str), raw('e'));
  const data = Object.values(storages).flatMap((bytes) => [
    Buffer.from(new BigInt64Array([BigInt(bytes.length / width)]).buffer),
    bytes,
  ]);
  return cat(
    magic,
    pickle(int(1001)),
    pickle(dict({ little_endian: raw('\x88') })),
    pickle(value),
    pickle(keys),
    ...data,
  );
}

export const f32 = (...values: number[]): Bytes => new Uint8Array(new Float32Array(values).buffer);
export const six = f32(1, 2, 3, 4, 5, 6);
/** A state dict of one storage and three views of it. */
export const model = dict({
  w: tensorOf(storage('FloatStorage', '0', 6), { size: [2, 3], stride: [3, 1] }),
  'w.T': tensorOf(storage('FloatStorage', '0', 6), { size: [3, 2], stride: [1, 3] }),
  tail: tensorOf(storage('FloatStorage', '0', 6), { offset: 4, size: [2], stride: [1] }),
});
