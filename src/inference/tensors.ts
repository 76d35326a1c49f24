// Tensors from any file that people have: safetensors (also sharded), PyTorch checkpoints, NumPy archives and arrays.
// A training checkpoint holds several networks: the average (`ema/`) is taken, or the trained one (`model/`) with `raw`, as the
// reference does for sampling. Differs from it in that a checkpoint with a model alone is taken as it is (there an error).

import { withFile } from '../io/file-reader.ts';
import type { NpyArray } from '../io/npy.ts';
import { loadNpy, loadNpz } from '../io/npz.ts';
import { fileKind, loadTensorFile } from '../io/tensor-file.ts';
import { toTensor } from '../io/to-tensor.ts';
import { ZipReader } from '../io/zip.ts';
import { dispose, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';

/** Runs `use` with the tensors of a file and frees them afterwards. The file's pages may be their memory: copy what stays. */
export function withTensors<T>(path: string, use: (tensors: Map<string, Tensor>) => T): T {
  const tensors = readTensors(path);
  try {
    return use(tensors);
  } finally {
    dispose(tensors);
  }
}

/** The same with the state dict of one network. */
export function withWeights<T>(
  path: string,
  { raw = false }: { raw?: boolean | undefined },
  use: (state: ReadonlyMap<string, Tensor>) => T,
): T {
  return withTensors(path, (tensors) => use(chooseNetwork(tensors, raw)));
}

/** Every tensor of a file by its name; the one of an .npy file is called `array`. Owned by the current scope. */
export function readTensors(path: string): Map<string, Tensor> {
  const kind = fileKind(path);
  if (kind === 'npy') return new Map([['array', fromArray(path, loadNpy(path))]]);
  if (kind === 'zip' && isNpz(path)) {
    return new Map(Array.from(loadNpz(path), ([key, array]) => [key, fromArray(`${path}: '${key}'`, array)]));
  }
  return loadTensorFile(path, { mmap: true });
}

/** Whether a zip archive is NumPy's (PyTorch's are zip archives too). */
export function isNpz(path: string): boolean {
  return withFile(path, (file) => [...new ZipReader(file).entries.keys()].some((name) => name.endsWith('.npy')));
}

/**
 * The tensor of this name in `tensors`, or the only one with as many dimensions. DataError lists what is there.
 */
export function pickTensor(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  { names, rank }: { names: readonly string[]; rank: number },
): Tensor {
  const named = names.flatMap((name) => tensors.get(name) ?? []).find((t) => t.ndim === rank);
  const fitting = [...tensors.values()].filter((t) => t.ndim === rank);
  const found = named ?? (fitting.length === 1 ? fitting[0] : undefined);
  if (found) return found;
  const there = [...tensors].map(([key, t]) => `${key} [${t.shape.join(', ')}]`);
  throw new DataError(expected(path, `one tensor of ${rank} dimensions, named ${names.join(' or ')}`, there));
}

/** The part of a checkpoint whose keys begin with the name of a network and a slash; a flat state dict as it is. */
export function chooseNetwork(tensors: ReadonlyMap<string, Tensor>, raw = false): ReadonlyMap<string, Tensor> {
  const order = raw ? ['model', 'state_dict', 'ema'] : ['ema', 'model', 'state_dict'];
  const name = order.find((candidate) => [...tensors.keys()].some((key) => key.startsWith(`${candidate}/`)));
  if (name === undefined) return tensors;
  const prefix = `${name}/`;
  return new Map(
    [...tensors].flatMap(([key, t]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), t] as const] : [])),
  );
}

function fromArray(where: string, { dtype, shape, data }: NpyArray): Tensor {
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  return toTensor({ dtype, shape, data: bytes }, { widen: true, where });
}
