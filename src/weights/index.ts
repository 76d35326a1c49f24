// Loading and saving of weights in the layouts that exist.

export {
  DIFFUSERS_ENCODERS,
  DIFFUSERS_EPS,
  DIFFUSERS_WEIGHTS,
  type DiffusersConfig,
  decoderToDiffusers,
  diffusersPositions,
  diffusersWeights,
  isDiffusersDecoder,
  readDiffusersConfig,
} from './diffusers.ts';
export { readEncoderSpec } from './encoder-sizes.ts';
export { parseEncoderSpec } from './encoder-spec.ts';
export { type EncoderHints, encoderFromState, loadEncoderState } from './encoder-state.ts';
export {
  type EncoderTensors,
  encoderToHuggingFace,
  familyOf,
  huggingFaceConfig,
  withEncoderTensors,
} from './encoder-tensors.ts';
export { type KeyTable, stripWrappers, translate, translateBack } from './key-table.ts';
export { encoderDigest, encoderOutline, loadEncoder, saveEncoder, saveEncoderTensors } from './load-encoder.ts';
export { type LoadedTrunk, loadTrunk } from './load-trunk.ts';
export { decoderOptions, decoderState, loadDecoderState, loadRaeState, newestCheckpoint } from './reference.ts';
export { resolveWeights } from './resolve.ts';
