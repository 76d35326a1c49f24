// What native/resample.cc exports. Its TypeScript face is src/data/resample.ts.

/** A pipeline on interleaved bytes: five numbers a step (op, a, b, c, d), numbered as in native/resample_kernel.h. */
export interface ResampleAddon {
  /** Off the main thread. `source` and `target` must not be written to before the promise settles. */
  resample(
    source: Uint8Array,
    width: number,
    height: number,
    channels: number,
    steps: Int32Array,
    target: Uint8Array,
  ): Promise<void>;

  /** The same on the calling thread. */
  resampleSync(
    source: Uint8Array,
    width: number,
    height: number,
    channels: number,
    steps: Int32Array,
    target: Uint8Array,
  ): void;
}
