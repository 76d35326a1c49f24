// Any file of tensors, recognised by its content: safetensors, an index of shards, a PyTorch checkpoint (zip or legacy).

import type { Tensor } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import { withFile } from './file-reader.ts';
import { type LoadOptions, loadSafetensors } from './safetensors.ts';
import { loadSharded } from './sharded.ts';
import { describeContent, type FileKind, sniff } from './sniff.ts';
import { loadTorch } from './torch-pickle/index.ts';

/** What a file is. */
export function fileKind(path: string): FileKind {
  return withFile(path, sniff);
}

/** Tensors by name (nested checkpoints under paths joined by '/'), owned by the current scope. */
export function loadTensorFile(path: string, options: LoadOptions = {}): Map<string, Tensor> {
  const kind = fileKind(path);
  if (kind === 'safetensors') return loadSafetensors(path, options);
  if (kind === 'zip' || kind === 'torch-legacy') return loadTorch(path, options);
  if (path.endsWith('.json')) return loadSharded(path, options);
  const found = withFile(path, describeContent) ?? 'something else';
  throw new DataError(`${path}: expected safetensors or a PyTorch checkpoint, received ${found}.`);
}
