// From a model to finished pictures, portion by portion: latents from noise (generate.ts), decoded, checked. What was handed out is no
// longer held, so that any number of pictures takes the memory of one portion.

import { setImmediate } from 'node:timers/promises';
import { cat, dispose, type Tensor, tidy } from '../tensor/index.ts';
import { RaeError } from '../util/errors.ts';
import { decodeLatents, portionOf } from './batches.ts';
import { generateBatches, type SamplingOptions } from './generate.ts';
import type { LabelOf } from './labels.ts';
import type { LoadedGenerator } from './load-model.ts';

export interface SamplePicturesOptions extends SamplingOptions {
  /** Index of the first picture; default 0. */
  first?: number | undefined;
  num: number;
  /** Pictures held at once, at least; they are the same whatever it is. Default 32. */
  portion?: number | undefined;
}

export interface SampledPictures {
  /** Index of the first one. */
  index: number;
  labels: number[];
  /** [n, 3, H, W] in [0, 1]. Whoever takes them frees them. */
  pixels: Tensor;
  /** How often the network was asked for a velocity for each. */
  evaluations: number;
}

/**
 * Samples pictures `first` to `first + num - 1`. Timers and streams are served between portions.
 * @throws RaeError when a picture holds a number that is none, which would come out as a black pixel
 */
export async function* samplePictures(
  { rae, generator, config }: LoadedGenerator,
  labelOf: LabelOf,
  { portion = 32, ...options }: SamplePicturesOptions,
): AsyncGenerator<SampledPictures> {
  const { first = 0, num, precision } = options;
  const enough = portionOf(rae, portion);
  let index = first;
  let [latents, labels]: [Tensor[], number[]] = [[], []];
  try {
    for (const batch of generateBatches(config, generator, labelOf, options)) {
      latents.push(batch.latents);
      labels.push(...batch.labels);
      if (labels.length < enough && index + labels.length < first + num) continue;
      const pixels = tidy(() => finite(decodeLatents(rae, cat(latents, 0), { precision, index })));
      dispose(latents);
      yield { index, labels, pixels, evaluations: batch.evaluations };
      index += labels.length;
      [latents, labels] = [[], []];
      await setImmediate();
    }
  } finally {
    dispose(latents);
  }
}

function finite(pixels: Tensor): Tensor {
  if (pixels.isfinite().all().item() !== 0) return pixels;
  throw new RaeError(
    'ERR_NON_FINITE',
    'sampling: expected finite pixels, received NaN or infinity. Lower the guidance, or use fp32.',
  );
}
