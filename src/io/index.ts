// Files in and out: tensors (safetensors, PyTorch checkpoints, npz) and pictures. Every reader treats its file as hostile.

export {
  encodeGrid,
  type FloatImage,
  type GridOptions,
  makeGrid,
  roundToBytes,
  toRgb,
  truncateToBytes,
} from './grid.ts';
export { type DecodeOptions, decodeImage, encodePng, type RgbImage, savePng } from './image.ts';
export type { NpyArray, NpyData } from './npy.ts';
export { batchImages, batchMoments, loadNpy, loadNpz, type NpyStream, saveNpy, saveNpz } from './npz.ts';
export {
  type LoadOptions,
  loadSafetensors,
  readSafetensorsHeader,
  readSafetensorsRaw,
  type SafetensorsEntry,
  type SafetensorsHeader,
  saveSafetensors,
  saveSafetensorsRaw,
} from './safetensors.ts';
export { loadSharded, readShardIndex } from './sharded.ts';
export { decodeElements, type RawTensor, type StorageDtype, type TensorBytes } from './storage-dtype.ts';
export { fileKind, loadTensorFile } from './tensor-file.ts';
export { toTensor } from './to-tensor.ts';
export {
  collectTensors,
  loadTorch,
  materialise,
  type PyValue,
  readTorch,
  saveTorch,
  type TorchInput,
  TorchTensor,
  toTensors,
} from './torch-pickle/index.ts';
