// PyTorch checkpoints (.pt, .pth, .bin): read without Python and without running anything that is in them.
//   readTorch(path)   the object: nested dicts, lists, numbers, tensors located but not read (an inspection of GBs is instant)
//   loadTorch(path)   a flat state dict as tensors
//   saveTorch(path)   tensors in nested plain data, as torch.save writes them

import type { Tensor } from '../../tensor/index.ts';
import { DataError } from '../../util/errors.ts';
import { type FileReader, withFile } from '../file-reader.ts';
import { describeContent, sniff } from '../sniff.ts';
import { readLegacyContainer, readZipContainer } from './containers.ts';
import { collectTensors, type TorchLoadOptions, toTensors } from './tensors.ts';
import type { PyValue } from './values.ts';

export { collectTensors, materialise, type TorchLoadOptions, toTensors } from './tensors.ts';
export { type PyDict, PyTuple, type PyValue, TorchDevice, TorchDtype, TorchSize, TorchTensor } from './values.ts';
export { saveTorch, type TorchInput } from './writer.ts';

/** The object that torch.save wrote. DataError names the file and why it is refused. */
export function readTorch(path: string): PyValue {
  return withFile(path, readContainer);
}

function readContainer(file: FileReader): PyValue {
  const kind = sniff(file);
  if (kind === 'zip') return readZipContainer(file);
  if (kind === 'torch-legacy') return readLegacyContainer(file);
  throw new DataError(
    `${file.name}: expected a PyTorch checkpoint, received ${describeContent(file) ?? 'something else'}.`,
  );
}

/**
 * All tensors of a checkpoint, nested ones under paths joined by '/' (a flat state dict keeps its keys), owned by the
 * current scope. Tensors may be views: strides as in the file, shared memory shared.
 */
export function loadTorch(path: string, options: TorchLoadOptions = {}): Map<string, Tensor> {
  return withFile(path, (file) =>
    toTensors(collectTensors(readContainer(file), { name: path }), { ...options, name: path, fd: file.fd }),
  );
}
