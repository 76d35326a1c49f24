// Checkpoints in several safetensors files with an index (model.safetensors.index.json), as Hugging Face writes large ones.

import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Tensor } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import { unreadable } from './file-reader.ts';
import { type LoadOptions, loadSafetensors, readSafetensorsHeader, type SafetensorsHeader } from './safetensors.ts';
import { parseStrictJson } from './strict-json.ts';

const MAX_INDEX = 64 << 20;

/** Tensor name -> shard path, every shard present and holding what the index promises. Reads no tensor data. */
export function readShardIndex(indexPath: string): Map<string, string> {
  const index = parseStrictJson(readText(indexPath), indexPath);
  const weightMap = index instanceof Map ? index.get('weight_map') : undefined;
  if (!(weightMap instanceof Map))
    throw new DataError(`${indexPath}: expected a weight_map of tensor names to files, received none.`);
  const folder = dirname(indexPath);
  const headers = new Map<string, SafetensorsHeader>();
  const located = new Map<string, string>();
  for (const [name, file] of weightMap) {
    if (typeof file !== 'string' || !/^[^/\\]+$/.test(file) || file === '.' || file === '..') {
      throw new DataError(
        `${indexPath}: expected a file name in the index's own folder for '${name}', received '${String(file)}'.`,
      );
    }
    const shard = join(folder, file);
    const header = headers.get(file) ?? readShard(shard, indexPath);
    headers.set(file, header);
    if (!header.tensors.has(name))
      throw new DataError(`${indexPath}: expected '${name}' in ${file}, which does not hold it.`);
    located.set(name, shard);
  }
  return located;
}

function readShard(shard: string, indexPath: string): SafetensorsHeader {
  try {
    return readSafetensorsHeader(shard);
  } catch (error) {
    if (error instanceof DataError) throw new DataError(`${indexPath}: shard ${error.message}`, { cause: error });
    throw error;
  }
}

/** Every tensor that the index names, in its order; owned by the current scope. */
export function loadSharded(indexPath: string, options: LoadOptions = {}): Map<string, Tensor> {
  const located = readShardIndex(indexPath);
  const loaded = new Map(Array.from(new Set(located.values()), (shard) => [shard, loadSafetensors(shard, options)]));
  const result = new Map(Array.from(located, ([name, shard]) => [name, loaded.get(shard)!.get(name)!]));
  for (const [shard, tensors] of loaded) {
    for (const [name, tensor] of tensors) if (located.get(name) !== shard) tensor.dispose(); // not named by the index
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
