// What `rae convert` writes: one part in one file, or a whole model as a folder of ours, of the reference, or of diffusers. Files and
// folders appear whole or not at all.

import { existsSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { saveSafetensors } from '../io/safetensors.ts';
import type { TensorBytes } from '../io/storage-dtype.ts';
import { saveTorch } from '../io/torch-pickle/index.ts';
import { type Dtype, isFloating, type Tensor, tidy } from '../tensor/index.ts';
import { syncFolder } from '../util/atomic-write.ts';
import { makeFolder } from '../util/storage.ts';
import type { Part, Tensors } from './convert-source.ts';

export interface WriteOptions {
  /** What floats of networks become; statistics and buffers stay as they are. */
  dtype?: Dtype | undefined;
  /** Called before each tensor is written. */
  onTensor?: (name: string) => void;
}

/** The tensors as writers take them: converted one at a time, when their turn comes. */
export function prepared(tensors: Tensors, { dtype, onTensor }: WriteOptions = {}): Map<string, TensorBytes> {
  return new Map(Array.from(tensors, ([name, t]) => [name, converted(name, t, dtype, onTensor)]));
}

function converted(name: string, t: Tensor, dtype: Dtype | undefined, onTensor?: (name: string) => void): TensorBytes {
  const to = dtype !== undefined && isFloating(t.dtype) ? dtype : t.dtype;
  const toBytes = () => {
    onTensor?.(name);
    let bytes: Uint8Array | undefined;
    tidy(() => {
      bytes = t.to(to).toBytes();
    });
    return bytes!;
  };
  return { dtype: to, shape: t.shape, toBytes };
}

/** One part as one file: a PyTorch checkpoint or safetensors. The reference wants `mean` among the statistics, if only as None. */
export function writePart(
  out: string,
  part: Part | undefined,
  { tensors, container, reference = false }: { tensors: Tensors; container: 'pt' | 'safetensors'; reference?: boolean },
  options: WriteOptions = {},
): void {
  const ready = prepared(tensors, part === 'stats' ? { ...options, dtype: undefined } : options);
  if (container === 'safetensors') saveSafetensors(out, ready, { format: 'pt' });
  else if (reference && part === 'stats') saveTorch(out, { mean: ready.get('mean') ?? null, var: ready.get('var')! });
  else saveTorch(out, ready);
}

/** Makes a folder under a temporary name and renames it into place; one that is there already is replaced, whole. */
export function writeFolder(out: string, fill: (folder: string) => void): void {
  const target = resolve(out);
  const hidden = (why: string) => join(dirname(target), `.${basename(target)}.${why}.${process.pid}.tmp`);
  const temporary = hidden('new');
  try {
    makeFolder(temporary);
    fill(temporary);
    if (existsSync(target)) {
      const replaced = hidden('replaced');
      renameSync(target, replaced);
      renameSync(temporary, target);
      rmSync(replaced, { recursive: true, force: true });
    } else {
      renameSync(temporary, target);
    }
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  syncFolder(dirname(target));
}
