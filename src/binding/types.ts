// What the addon exports (native/*.cc). A tensor is a handle: a positive integer, slot and generation; 0 means none.
import type { ResampleAddon } from './types-resample.ts';

export type Handle = number;
/** An argument or result of a boxed call: handles, numbers, strings, booleans, and lists of them. */
export type Native = unknown;

export interface MemoryStats {
  /** Live tensor handles. Tensors saved for backward live with the graph and are not counted. */
  tensors: number;
  /** Bytes the C allocator has handed out. */
  bytes: number;
  /** Resident set of the process, bytes. */
  resident: number;
  /** Largest resident set so far, bytes. */
  peakResident: number;
}

export interface Versions {
  libtorch: string;
  cpuCapability: string;
  config: string;
  mkldnn: boolean;
  cuda: boolean;
  cudaDevices: number;
}

type ErrorClass = new (message: string) => Error;

export interface NativeAddon extends ResampleAddon {
  setErrorClasses(native: ErrorClass, argument: ErrorClass, disposed: ErrorClass, data: ErrorClass): void;

  /** Number of an operator, 0 when this libtorch does not have it. */
  findOperator(name: string, overload: string): number;
  /** The schema as libtorch prints it, undefined when this libtorch does not have it. */
  schemaOf(name: string, overload: string): string | undefined;
  call(operator: number, ...args: Native[]): Native;

  fromArray(data: ArrayBufferView | ArrayBuffer, dtype: number, shape: readonly number[]): Handle;
  fromBuffer(data: ArrayBufferView | ArrayBuffer, dtype: number, shape: readonly number[]): Handle;
  /** Copies the elements, row-major, into an array of as many bytes. */
  read(tensor: Handle, into: ArrayBufferView): void;
  /** Tensors over one mapping. Opens `path`, or uses the open descriptor `fd` and takes `path` for messages only. */
  mapFile(
    path: string,
    fd: number | undefined,
    places: readonly (readonly [offset: number, dtype: number, shape: readonly number[]])[],
  ): Handle[];
  shapeOf(tensor: Handle): number[];
  dtypeOf(tensor: Handle): number;
  deviceOf(tensor: Handle): string;
  item(tensor: Handle): number;
  sharesMemory(a: Handle, b: Handle): boolean;
  /** Index of the first pair that differs in shape, strides, dtype or device, or lacks its partner; -1 when none does. */
  firstDifference(a: Int32Array, b: Int32Array): number;
  free(tensor: Handle): boolean;
  setFreeList(list: Int32Array): void;
  freeListed(count: number): void;

  backward(outputs: Handle[], gradients: Handle[] | undefined, retainGraph: boolean): void;
  grad(
    outputs: Int32Array,
    inputs: Int32Array,
    gradOutputs: Int32Array | undefined,
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): Handle[];
  setGradEnabled(enabled: boolean): boolean;
  requiresGrad(tensor: Handle): boolean;
  setRequiresGrad(tensor: Handle, on: boolean): void;
  isLeaf(tensor: Handle): boolean;
  gradOf(tensor: Handle): Handle;
  setGrad(tensor: Handle, gradient: Handle | undefined): void;
  /** `dtype` -1 switches it off; returns what it was. */
  setAutocast(device: string, dtype: number): number;
  autocastNesting(enter: boolean): void;
  setAttentionBackends(flash: boolean, memoryEfficient: boolean, math: boolean, cudnn: boolean): void;

  generatorNew(seed: number, device: string): number;
  generatorSeed(generator: number, seed: number): void;
  generatorGetState(generator: number): Handle;
  generatorSetState(generator: number, state: Handle): void;
  generatorFree(generator: number): void;
  manualSeed(seed: number): void;

  installSignalHandlers(): void;
  interrupted(): number;
  clearInterrupted(): void;
  setThreads(threads: number): void;
  getThreads(): number;
  memoryStats(): MemoryStats;
  tuneMalloc(mmapThreshold: number, trimThreshold: number): boolean;
  versions(): Versions;
}
