// Pillow-exact resizing, cropping and mirroring of 8-bit pictures (spec 13.4): the face of native/resample.cc.
// A list of steps runs in one go off the main thread; a crop right after a resize costs only what it keeps.
import { engine } from '../tensor/engine.ts';
import { pin } from '../tensor/pin.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';

/** Pillow's filters; the numbers are those of native/resample_kernel.h. */
const filters = { box: 0, bilinear: 1, bicubic: 2, hamming: 3, lanczos: 4 } as const;
export type Filter = keyof typeof filters;

/** Sizes are [width, height], in Pillow's order. What a crop takes from outside the picture is black. */
export type Step =
  | { readonly resize: readonly [width: number, height: number]; readonly filter: Filter }
  | { readonly crop: readonly [left: number, top: number, width: number, height: number] }
  | { readonly mirror: true };

/** Interleaved bytes [height, width, channels]; channels 1 to 4, 3 when left out. */
export interface Picture {
  width: number;
  height: number;
  channels?: number;
  data: Uint8Array;
}

/** Runs the steps in the thread pool. Neither the picture nor `into` (default: a new array) may be written to meanwhile. */
export async function resample(picture: Picture, steps: readonly Step[], into?: Uint8Array): Promise<Picture> {
  const { width, height, channels = 3, data } = picture;
  const out = target(picture, steps, into);
  for (const bytes of [data, out.data]) pin('resample', bytes);
  await engine().resample(data, width, height, channels, encode(steps), out.data);
  return out;
}

/** The same on the calling thread. */
export function resampleSync(picture: Picture, steps: readonly Step[], into?: Uint8Array): Picture {
  const { width, height, channels = 3, data } = picture;
  const out = target(picture, steps, into);
  engine().resampleSync(data, width, height, channels, encode(steps), out.data);
  return out;
}

function target(picture: Picture, steps: readonly Step[], into: Uint8Array | undefined): Picture {
  const { channels = 3 } = picture;
  let { width, height } = picture;
  for (const step of steps) {
    if ('resize' in step) [width, height] = step.resize;
    if ('crop' in step) [, , width, height] = step.crop;
    if (![width, height].every((side) => Number.isInteger(side) && side >= 1)) {
      throw new ArgumentError(expected('resample', 'whole sides of at least 1', `${width} x ${height}`));
    }
  }
  const bytes = width * height * channels;
  if (into && into.length !== bytes) {
    throw new ArgumentError(expected('resample', `an array of ${bytes} bytes to write to`, `${into.length} bytes`));
  }
  return { width, height, channels, data: into ?? new Uint8Array(bytes) };
}

function encode(steps: readonly Step[]): Int32Array {
  const flat = new Int32Array(steps.length * 5);
  steps.forEach((step, i) => {
    if ('resize' in step) flat.set([0, ...step.resize, filters[step.filter], 0], i * 5);
    else if ('crop' in step) flat.set([1, ...step.crop], i * 5);
    else flat[i * 5] = 2;
  });
  return flat;
}
