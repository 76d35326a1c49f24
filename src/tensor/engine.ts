// The door to the addon: loaded on first use, so that importing this library costs nothing, and set up once
// (error classes, allocator, free list). Also threads, memory figures, the interruption flag.
import { native } from '../binding/load.ts';
import type { MemoryStats, NativeAddon, Versions } from '../binding/types.ts';
import { ArgumentError, DataError, DisposedError, NativeError } from '../util/errors.ts';

let addon: NativeAddon | undefined;

/** Handles to free are written here and freed with one call: reading memory is cheaper than converting arguments. */
export const freeList = new Int32Array(4096);

/** The loaded addon. Throws EngineError with the remedies when it cannot be loaded. */
export function engine(): NativeAddon {
  if (addon === undefined) {
    const loaded = native();
    loaded.setErrorClasses(NativeError, ArgumentError, DisposedError, DataError);
    loaded.setFreeList(freeList);
    // glibc returns large blocks to the system when they are freed and faults them in again at the next step.
    // 32 MB is the largest threshold it accepts (HEAP_MAX / 2); 512 MB of free heap is kept.
    loaded.tuneMalloc(32 * 2 ** 20, 512 * 2 ** 20);
    addon = loaded;
  }
  return addon;
}

/** Threads that one operator may use. */
export function setThreads(threads: number): void {
  engine().setThreads(threads);
}

export function getThreads(): number {
  return engine().getThreads();
}

/** Which kernels scaledDotProductAttention() may take; those left out are switched on, save cuDNN's (NaN gradients are reported for it). */
export function setAttentionBackends({ flash = true, memoryEfficient = true, math = true, cudnn = false } = {}): void {
  engine().setAttentionBackends(flash, memoryEfficient, math, cudnn);
}

/** Live tensors and bytes. Two equal figures around a step prove that the step keeps nothing. */
export function memoryStats(): MemoryStats {
  return engine().memoryStats();
}

/** libtorch's version, CPU capability and devices. */
export function versions(): Versions {
  return engine().versions();
}

/** From now on the first SIGINT or SIGTERM only sets a flag, also while native code computes; a second one exits at once. */
export function installSignalHandlers(): void {
  engine().installSignalHandlers();
}

/** The signal that arrived (2 or 15), 0 when none did. Training and sampling loops poll it after every step. */
export function interrupted(): number {
  return addon === undefined ? 0 : addon.interrupted();
}

export function clearInterrupted(): void {
  engine().clearInterrupted();
}

/** Whether what is computed now is recorded for backward. */
export function recording(): boolean {
  const api = engine();
  const on = api.setGradEnabled(true);
  api.setGradEnabled(on);
  return on;
}
