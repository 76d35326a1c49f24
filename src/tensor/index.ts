// The tensor library: everything that layers above may use.
export { call, callList, callRaw, hasOperator } from './call.ts';
export * from './create.ts';
export { type Dtype, dtypeBytes, dtypeCode, dtypeName, isFloating, type TypedArray } from './dtype.ts';
export {
  clearInterrupted,
  getThreads,
  installSignalHandlers,
  interrupted,
  memoryStats,
  setAttentionBackends,
  setThreads,
  versions,
} from './engine.ts';
export * from './functional.ts';
export {
  adamwFused_,
  canFuse,
  canFuseAll,
  canFuseForward,
  ditBlock,
  gradNormFused,
  vitBlock,
  withFused,
} from './fused.ts';
export * from './grad.ts';
export * from './ops_generated.ts';
export * from './random.ts';
export { cut, recomputed, recomputing } from './recompute.ts';
export { dispose, keep, tidy } from './scope.ts';
export { type Device, Tensor } from './tensor.ts';
