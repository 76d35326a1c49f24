// Checkpoints in several files with an index (model.safetensors.index.json, pytorch_model.bin.index.json), as Hugging Face writes large
// ones. The shards are safetensors or PyTorch's, told apart by their content.

import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Tensor } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import { unreadable, withFile } from './file-reader.ts';
import { type LoadOptions, loadSafetensors, readSafetensorsHeader } from './safetensors.ts';
import { sniff } from './sniff.ts';
import type { StorageDtype } from './storage-dtype.ts';
import { parseStrictJson } from './strict-json.ts';
import { collectTensors, loadTorch, readTorch } from './torch-pickle/index.ts';

const MAX_INDEX = 64 << 20;

export interface ShardEntry {
  shard: string;
  dtype: StorageDtype;
  shape: readonly number[];
}

/** Where each tensor is and what it is, every shard present and holding what the index promises. Reads no tensor data. */
export function readShardIndex(indexPath: string): Map<string, ShardEntry> {
  const index = parseStrictJson(readText(indexPath), indexPath);
  const weightMap = index instanceof Map ? index.get('weight_map') : undefined;
  if (!(weightMap instanceof Map))
    throw new DataError(`${indexPath}: expected a weight_map of tensor names to files, received none.`);
  const folder = dirname(indexPath);
  const headers = new Map<string, Header>();
  const located = new Map<string, ShardEntry>();
  for (const [name, file] of weightMap) {
    if (typeof file !== 'string' || !/^[^/\\]+$/.test(file) || file === '.' || file === '..') {
      throw new DataError(
        `${indexPath}: expected a file name in the index's own folder for '${name}', received '${String(file)}'.`,
      );
    }
    const shard = join(folder, file);
    const header = headers.get(file) ?? readShard(shard, indexPath);
    headers.set(file, header);
    const entry = header.get(name);
    if (entry === undefined)
      throw new DataError(`${indexPath}: expected '${name}' in ${file}, which does not hold it.`);
    located.set(name, { shard, dtype: entry.dtype, shape: entry.shape });
  }
  return located;
}

type Header = ReadonlyMap<string, { dtype: StorageDtype; shape: readonly number[] }>;

function readShard(shard: string, indexPath: string): Header {
  try {
    if (isTorch(shard)) return collectTensors(readTorch(shard), { name: shard });
    return readSafetensorsHeader(shard).tensors;
  } catch (error) {
    if (error instanceof DataError) throw new DataError(`${indexPath}: shard ${error.message}`, { cause: error });
    throw error;
  }
}

function isTorch(shard: string): boolean {
  return ['zip', 'torch-legacy'].includes(withFile(shard, sniff));
}

/** Every tensor that the index names, in its order; owned by the current scope. */
export function loadSharded(indexPath: string, options: LoadOptions = {}): Map<string, Tensor> {
  const located = readShardIndex(indexPath);
  const shards = new Set(Array.from(located.values(), ({ shard }) => shard));
  const load = (shard: string) => (isTorch(shard) ? loadTorch(shard, options) : loadSafetensors(shard, options));
  const loaded = new Map(Array.from(shards, (shard) => [shard, load(shard)]));
  const result = new Map(Array.from(located, ([name, { shard }]) => [name, loaded.get(shard)!.get(name)!]));
  for (const [shard, tensors] of loaded) {
    for (const [name, tensor] of tensors) if (located.get(name)?.shard !== shard) tensor.dispose(); // not in the index
  }
  return result;
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_INDEX)
      throw new DataError(`${path}: expected an index of at most ${MAX_INDEX} bytes, received ${size}.`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw unreadable(path, error);
  }
}
