// The two containers of torch.save: a zip archive (since 1.6) and the older sequence of pickles followed by raw storages.
// Source: torch/serialization.py. Both give the unpickled object with its storages located but not read.

import { crc32 } from 'node:zlib';
import { DataError } from '../../util/errors.ts';
import { type ByteSource, memorySource, withFile } from '../file-reader.ts';
import { elementBytes, type StorageDtype, swapBytes } from '../storage-dtype.ts';
import { ZipReader } from '../zip.ts';
import { PickleInput } from './pickle-input.ts';
import { torchWorld } from './torch-world.ts';
import { unpickle } from './unpickler.ts';
import { brief, type PyValue, type StorageBytes, TorchStorage } from './values.ts';

const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

/** <root>/data.pkl, <root>/data/<key>, and byteorder; stored or deflated. */
export function readZipContainer(file: ByteSource): PyValue {
  const { name } = file;
  const zip = new ZipReader(file);
  const root = findRoot(zip);
  const byteorder = zip.entries.has(`${root}byteorder`)
    ? new TextDecoder().decode(zip.read(`${root}byteorder`))
    : 'little';
  const storages = new Map<string, TorchStorage>();
  const world = torchWorld(name, (key, claim) => {
    if (!/^\w+$/.test(key)) throw new DataError(`${name}: expected a plain storage key, received '${key}'.`);
    const entryName = `${root}data/${key}`;
    const storage = sameOrNew(storages, key, { claim, name });
    storage.bytes ??= zipBytes(zip, entryName, {
      dtype: claim.dtype,
      elements: claim.elements,
      big: byteorder === 'big',
    });
    return storage;
  });
  return unpickle(new PickleInput(memorySource(zip.read(`${root}data.pkl`), name)), world);
}

function findRoot(zip: ZipReader): string {
  const { name } = zip.source;
  const names = [...zip.entries.keys()];
  const roots = names
    .filter((entry) => /^[^/]*\/?data\.pkl$/.test(entry))
    .map((entry) => entry.slice(0, -'data.pkl'.length));
  const script = names.some((entry) => /^[^/]+\/(?:constants\.pkl|code\/)/.test(entry));
  if (script)
    throw new DataError(
      `${name}: a TorchScript archive (compiled code). Save the state dict: torch.save(module.state_dict(), path).`,
    );
  if (roots.length !== 1 || roots[0] === undefined) {
    throw new DataError(
      `${name}: expected one data.pkl in the archive, received ${roots.length || names.slice(0, 6).join(', ') || 'nothing'}.`,
    );
  }
  return roots[0];
}

interface StorageClaim {
  dtype: StorageDtype;
  elements: number;
  big: boolean;
}

function zipBytes(zip: ZipReader, entryName: string, { dtype, elements, big }: StorageClaim): StorageBytes {
  const { name } = zip.source;
  const entry = zip.get(entryName);
  if (entry.size !== elements * elementBytes(dtype)) {
    throw new DataError(
      `${name}: entry '${entryName}': expected ${elements} elements of ${dtype}, received ${entry.size} bytes.`,
    );
  }
  const swapped = big && elementBytes(dtype) > 1;
  const read = (): Uint8Array<ArrayBuffer> => {
    // The file is opened again: whoever holds a tensor of it need not keep it open. Stored entries skip the directory.
    const bytes = withFile(name, (file) =>
      entry.method === 0 ? file.read(offset, entry.size) : new ZipReader(file).read(entryName),
    );
    if (entry.method === 0 && crc32(bytes) !== entry.crc) {
      throw new DataError(
        `${name}: entry '${entryName}': the CRC-32 check sum is wrong. The file is damaged: fetch it again.`,
      );
    }
    if (swapped) swapBytes(bytes, dtype);
    return bytes;
  };
  const offset = zip.dataOffset(entryName);
  return { read, mapOffset: entry.method === 0 && !swapped ? offset : undefined };
}

/** Pickles: magic, protocol, system info, the object, the keys; then for each key an int64 count and the elements. */
export function readLegacyContainer(file: ByteSource): PyValue {
  const { name } = file;
  const storages = new Map<string, TorchStorage>();
  const world = torchWorld(name, (key, claim) => sameOrNew(storages, key, { claim, name }));
  const input = new PickleInput(file);
  if (unpickle(input, world) !== LEGACY_MAGIC)
    throw new DataError(`${name}: expected a PyTorch checkpoint, received another pickle.`);
  const protocol = unpickle(input, world);
  if (protocol !== LEGACY_PROTOCOL)
    throw new DataError(`${name}: expected PyTorch's legacy protocol ${LEGACY_PROTOCOL}, received ${brief(protocol)}.`);
  const system = unpickle(input, world);
  const big = system instanceof Map && system.get('little_endian') === false;
  const value = unpickle(input, world);
  const keys = unpickle(input, world);
  if (!Array.isArray(keys))
    throw new DataError(`${name}: expected a list of storage keys after the object, received something else.`);
  let offset = input.position;
  for (const key of keys) {
    const storage = storages.get(brief(key));
    if (storage === undefined)
      throw new DataError(`${name}: expected a storage that the object uses, received the key '${brief(key)}'.`);
    const count = new DataView(file.read(offset, 8).buffer).getBigInt64(0, true);
    if (count !== BigInt(storage.elements)) {
      throw new DataError(
        `${name}: storage '${storage.key}': expected ${storage.elements} elements, received ${count}.`,
      );
    }
    offset += 8;
    const length = storage.elements * elementBytes(storage.dtype);
    if (offset + length > file.size)
      throw new DataError(
        `${name}: storage '${storage.key}': expected ${length} bytes, received ${file.size - offset}. The file is cut off.`,
      );
    storage.bytes = legacyBytes(name, { offset, length, dtype: storage.dtype, big });
    offset += length;
  }
  for (const { key, bytes } of storages.values()) {
    if (bytes === undefined)
      throw new DataError(`${name}: storage '${key}': expected its bytes after the object, received none.`);
  }
  return value;
}

function legacyBytes(
  name: string,
  { offset, length, dtype, big }: { offset: number; length: number; dtype: StorageDtype; big: boolean },
): StorageBytes {
  const swapped = big && elementBytes(dtype) > 1;
  const read = (): Uint8Array<ArrayBuffer> => {
    const bytes = withFile(name, (file) => file.read(offset, length));
    if (swapped) swapBytes(bytes, dtype);
    return bytes;
  };
  return { read, mapOffset: swapped ? undefined : offset };
}

/** One object a key: tensors that share memory in the file share it here. */
function sameOrNew(
  storages: Map<string, TorchStorage>,
  key: string,
  { claim, name }: { claim: { dtype: StorageDtype; elements: number }; name: string },
): TorchStorage {
  const known = storages.get(key) ?? new TorchStorage(key, claim);
  if (known.dtype !== claim.dtype || known.elements !== claim.elements) {
    throw new DataError(`${name}: storage '${key}': expected one type and size, received two.`);
  }
  storages.set(key, known);
  return known;
}
