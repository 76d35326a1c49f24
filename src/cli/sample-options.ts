// What the options of rae sample mean for a model: sampler, guidance and its guide, classes and number, noise.

import type { RunConfig } from '../config/index.ts';
import { adaptiveSamplers, type Guidance, type SamplerName, samplers } from '../diffusion/index.ts';
import { type SamplingOptions, samplerOf } from '../inference/generate.ts';
import { loadGuidance } from '../inference/guide.ts';
import { type LabelChoice, parseLabels } from '../inference/labels.ts';
import type { LoadedGenerator } from '../inference/load-model.ts';
import { pickTensor, readTensors } from '../inference/tensors.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { dispose, type Tensor } from '../tensor/index.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import type { ModelOptions } from './model-options.ts';

export interface SamplerFlags {
  sampler?: string;
  steps?: number;
  end?: 'reference' | 'zero';
}

export interface SampleOptions extends ModelOptions, SamplerFlags {
  labels?: string;
  num?: number;
  first: number;
  batch: number;
  guidance?: string;
  guide?: string;
  noise?: string;
  npz?: string;
  rounding?: 'round' | 'truncate';
  restart?: boolean;
  seed: number;
  out?: string;
}

type Guiding = RunConfig['guidance'];

/**
 * `cfg:1.5`, `auto:1.42@0-1` (the interval of t in which it acts), or `none`, in place of the configuration's guidance.
 * ConfigError for anything else.
 */
export function parseGuidance(text: string, guidance: Guiding): Guiding {
  if (text === 'none') return { ...guidance, scale: 1 };
  const [, kind, scale, low = '0', high = '1'] = /^(cfg|auto):([\d.]+)(?:@([\d.]+)-([\d.]+))?$/.exec(text) ?? [];
  const [w, t_min, t_max] = [scale, low, high].map(Number) as [number, number, number];
  if (kind === undefined || !(w >= 1) || !(t_min >= 0 && t_min < t_max && t_max <= 1)) {
    const what = "'none', 'cfg:SCALE' or 'auto:SCALE', with '@MIN-MAX' behind it for an interval of t";
    throw new ConfigError(
      expected('--guidance', what, text, "Scales begin at 1, times lie in [0, 1]: 'cfg:1.5@0.1-0.9'."),
    );
  }
  return { ...guidance, method: kind === 'cfg' ? 'cfg' : 'autoguidance', scale: w, t_min, t_max };
}

/** The sampler: the flags', else the configuration's. ConfigError for an unknown name and for too few steps. */
export function samplerFrom(
  config: RunConfig,
  { sampler, steps, end }: SamplerFlags,
): Pick<SamplingOptions, 'method' | 'steps' | 'end' | 'rtol' | 'atol'> {
  if (sampler !== undefined && !Object.hasOwn(samplers, sampler)) {
    const near = sampler === 'heun' ? 'heun2' : nearest(sampler, Object.keys(samplers));
    const what = `one of ${Object.keys(samplers).join(', ')}`;
    throw new ConfigError(expected('--sampler', what, sampler, near && `Did you mean '${near}'?`));
  }
  const base =
    config.sampler.mode === 'SDE' && sampler !== undefined
      ? { method: sampler, steps: 50, end: 'reference' as const }
      : samplerOf(config);
  const chosen = { ...base, method: sampler ?? base.method, steps: steps ?? base.steps, end: end ?? base.end };
  if (chosen.end === 'reference' && chosen.steps < 2) {
    throw new ConfigError(
      expected(
        '--steps',
        'at least 2 with --end reference, where it counts grid points',
        chosen.steps,
        'Or use --end zero.',
      ),
    );
  }
  return chosen;
}

/** The sampler in words: '49 euler steps'. */
export function describeSampler({ method, steps, end }: Pick<SamplingOptions, 'method' | 'steps' | 'end'>): string {
  if (adaptiveSamplers.includes(method as SamplerName)) return `${method} (chooses its own steps)`;
  return `${end === 'reference' ? steps - 1 : steps} ${method} steps`;
}

/** Guidance in words. */
export function describeGuidance({ method, scale, t_min, t_max }: Guiding): string {
  if (scale <= 1) return 'no guidance';
  const within = t_min === 0 && t_max === 1 ? '' : ` in t ${t_min} to ${t_max}`;
  return `${method === 'cfg' ? 'classifier-free guidance' : 'autoguidance'} ${scale}${within}`;
}

/** Without --labels: every class once up to so many classes, else this many pictures of random ones. */
const [ALL_UP_TO, RANDOM] = [64, 8];

/** The configuration with the guidance asked for, and the guidance itself, its guide loaded. */
export function withGuidance(
  model: LoadedGenerator,
  options: SampleOptions,
): { config: RunConfig; guidance: Guidance; guide?: Stage2Model } {
  const base = model.config.guidance;
  const config = {
    ...model.config,
    guidance: options.guidance === undefined ? base : parseGuidance(options.guidance, base),
  };
  const wanted = config.guidance.method === 'autoguidance' && config.guidance.scale > 1;
  if (options.guide !== undefined && !wanted) {
    throw new ConfigError(
      `--guide: expected --guidance auto:SCALE beside it, received ${describeGuidance(config.guidance)}.`,
    );
  }
  return { config, ...loadGuidance(model, config, options) };
}

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

/** Which classes, and how many pictures. */
export function labelsAndNumber(
  { labels, num, first }: SampleOptions,
  { config, classes }: LoadedGenerator,
  noise: Tensor | undefined,
): { choice: LabelChoice; num: number } {
  const many = config.misc.num_classes > ALL_UP_TO;
  const choice = labels === undefined ? (many ? 'random' : 'all') : parseLabels(labels, config, classes);
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
