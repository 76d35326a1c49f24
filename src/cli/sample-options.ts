// What the options of rae sample mean for a model: classes and number, starting noise. How it samples is in sampling-options.ts.

import { type LabelChoice, parseLabels } from '../inference/labels.ts';
import type { LoadedGenerator } from '../inference/load-model.ts';
import { pickTensor, readTensors } from '../inference/tensors.ts';
import { dispose, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import type { SamplingFlags } from './sampling-options.ts';

export interface SampleOptions extends SamplingFlags {
  labels?: string;
  num?: number;
  first: number;
  batch: number;
  noise?: string;
  npz?: string;
  rounding?: 'round' | 'truncate';
  restart?: boolean;
  out?: string;
}

/** Without --labels: every class once up to so many classes, else this many pictures of random ones. */
const [ALL_UP_TO, RANDOM] = [64, 8];

/** The noise of --noise, held against the model. */
export function readNoise(path: string, { rae }: LoadedGenerator): Tensor {
  const tensors = readTensors(path);
  try {
    const noise = pickTensor(path, tensors, { names: ['noise', 'x', 'z'], rank: rae.latentShape.length + 1 });
    const wanted = rae.latentShape.join(', ');
    if (noise.shape.slice(1).join(', ') !== wanted || noise.size(0) === 0)
      throw new ConfigError(`--noise: expected [N, ${wanted}], received [${noise.shape.join(', ')}].`);
    return noise.to('f32').clone();
  } finally {
    dispose(tensors);
  }
}

/** What the reference's sample.py makes: a golden retriever and an otter. */
const REFERENCE_LABELS = [207, 360];

/** Which classes, and how many pictures. */
export function labelsAndNumber(
  { labels, num, first, config: asReference }: SampleOptions,
  { config, classes }: LoadedGenerator,
  noise: Tensor | undefined,
): { choice: LabelChoice; num: number } {
  const many = config.misc.num_classes > ALL_UP_TO;
  const usually = asReference && config.misc.num_classes > Math.max(...REFERENCE_LABELS) ? REFERENCE_LABELS : undefined;
  const choice = labels === undefined ? (usually ?? (many ? 'random' : 'all')) : parseLabels(labels, config, classes);
  if (choice === 'equal' && first > 0) {
    const what = 'the whole set from index 0 with --labels equal, which permutes the labels of a set';
    throw new ConfigError(expected('--first', what, first));
  }
  const usual = choice === 'random' ? RANDOM : typeof choice === 'string' ? config.misc.num_classes : choice.length;
  const available = noise === undefined ? Number.POSITIVE_INFINITY : noise.size(0) - first;
  const wanted = num ?? (noise === undefined ? usual : available);
  if (wanted > available || wanted < 1) {
    const what = `at most ${noise!.size(0)} with --first, as many as --noise holds`;
    throw new ConfigError(expected('--num', what, first + wanted));
  }
  return { choice, num: wanted };
}
