// Pictures from noise: labels and a seed in, latents or pictures out.
// Noise is keyed by (seed, index of the picture) and the network runs at a fixed internal batch, the last one padded, so that picture
// i is the same whatever how many are made around it, in whatever batches, before or after an interruption (design, section 6).

import type { RunConfig } from '../config/index.ts';
import {
  dimensionShift,
  type Guidance,
  gridToZero,
  guidedVelocity,
  type LabelledVelocity,
  pathNamed,
  referenceGrid,
  sampleOde,
  samplingInterval,
  toVelocity,
} from '../diffusion/index.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { autocast, full, Generator, noGrad, randn, stack, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ConfigError } from '../util/errors.ts';

export interface SamplingOptions {
  /** torchdiffeq's names and ours (`samplers`). */
  method: string;
  /** Grid points with end 'reference' (50 make 49 Euler steps), steps with end 'zero'. */
  steps: number;
  end: 'reference' | 'zero';
  guidance: Guidance;
  seed: number;
  /** Index of the first picture; noise depends on it. */
  firstIndex?: number;
  /** Starting noise of every picture [N, C, h, w] instead of drawn. */
  noise?: Tensor | undefined;
  /** Pictures the network sees at once. Results depend on its last bits, so it is fixed and recorded. */
  batch: number;
  precision?: 'fp32' | 'bf16';
  onStep?: (done: { picture: number; step: number; of: number }) => void;
}

export interface Sampled {
  /** Latents [N, C, h, w], normalised by the statistics. */
  latents: Tensor;
  /** How often the network was asked for a velocity, for one batch. */
  evaluations: number;
}

/** Samples one latent for each label. Throws ArgumentError for labels outside of the model's classes. */
export function generateLatents(
  config: RunConfig,
  model: Stage2Model,
  labels: readonly number[],
  options: SamplingOptions,
): Sampled {
  checkLabels(config, labels);
  const { batch, seed, firstIndex = 0 } = options;
  const shape: [number, number, number] = [model.inChannels, ...model.inputSize];
  const times = samplingTimes(config, options);
  let evaluations = 0;
  const latents = noGrad(() =>
    tidy(() => {
      const parts: Tensor[] = [];
      for (let at = 0; at < labels.length; at += batch) {
        const count = Math.min(batch, labels.length - at);
        const padded = Array.from({ length: batch }, (_, i) => labels[at + Math.min(i, count - 1)]!);
        const noise = stack(
          padded.map((_, i) => {
            const index = at + Math.min(i, count - 1);
            return options.noise ? options.noise.select(0, index) : keyedNoise(shape, seed, firstIndex + index);
          }),
        );
        const part = tidy(() => {
          const y = tensor(padded, { dtype: 'i64' });
          const velocity = guidedVelocity(labelled(config, model, options.precision), y, options.guidance);
          const run = sampleOde(options.method, velocity, noise, {
            times,
            onStep: ({ step, of }) => options.onStep?.({ picture: at, step, of }),
          });
          evaluations = run.evaluations;
          return run.x.narrow(0, 0, count);
        });
        parts.push(part);
      }
      return parts.length === 1 ? parts[0]!.clone() : stackRows(parts);
    }),
  );
  return { latents, evaluations };
}

/** The grid of times of a configuration's transport: shifted by the latent's dimension. */
export function samplingTimes(config: RunConfig, { steps, end }: Pick<SamplingOptions, 'steps' | 'end'>): number[] {
  const { path_type, prediction, sample_eps } = config.transport.params;
  const interval = samplingInterval(pathNamed(path_type), prediction, sample_eps);
  const shift = shiftOf(config);
  return end === 'zero' ? gridToZero(steps, { shift, interval }) : referenceGrid(steps, { shift, interval });
}

/** The sampler of a configuration as options: its method, number of steps and where it ends. */
export function samplerOf({ sampler }: RunConfig): Pick<SamplingOptions, 'method' | 'steps' | 'end'> {
  if (sampler.mode !== 'ODE') {
    throw new ConfigError(
      expected('sampler.mode', "'ODE' for generating pictures", sampler.mode, 'Use an ODE sampler.'),
    );
  }
  return { method: sampler.params.sampling_method, steps: sampler.params.num_steps, end: sampler.end };
}

/** The guidance of a configuration: none where its scale is 1, autoguidance only with a `guide` network given. */
export function guidanceOf(config: RunConfig, model: Stage2Model, guide?: LabelledVelocity): Guidance {
  const { method, scale, t_min, t_max } = config.guidance;
  if (scale <= 1) return {};
  const term = { scale, interval: [t_min, t_max] as const };
  if (method === 'autoguidance') {
    if (guide) return { auto: { ...term, guide } };
    throw new ConfigError(expected('guidance', 'a guide network for autoguidance', 'none', 'Give one with --guide.'));
  }
  if (model.nullLabel === undefined) {
    throw new ConfigError(
      expected(
        'guidance',
        'a model trained with label dropout for classifier-free guidance',
        'one without a null label',
      ),
    );
  }
  return { cfg: { ...term, nullLabel: model.nullLabel } };
}

/** sqrt(dim / base) of the configuration's latent. */
export function shiftOf({ misc }: RunConfig): number {
  if (misc.time_dist_shift_dim === undefined) {
    throw new ArgumentError(
      expected('misc', 'latent_size or time_dist_shift_dim', 'neither', 'Give the size of the latent [C, h, w].'),
    );
  }
  return dimensionShift(misc.time_dist_shift_dim, misc.time_dist_shift_base);
}

/** Standard normal noise of one picture, the same for the same seed and index on every machine's CPU. */
export function keyedNoise(shape: readonly number[], seed: number, index: number): Tensor {
  return randn(shape, { generator: new Generator(mix(seed, index)) });
}

/** A model as the samplers want it: its prediction turned into a velocity, one time for the whole batch, under autocast for bf16. */
export function labelled(config: RunConfig, model: Stage2Model, precision: 'fp32' | 'bf16' = 'fp32'): LabelledVelocity {
  const { path_type, prediction } = config.transport.params;
  const path = pathNamed(path_type);
  return (x, t, y) => {
    const time = full([x.size(0)], t, { device: x.device });
    const output = autocast({ dtype: 'bf16', enabled: precision === 'bf16' }, () => model.forward(x, time, y));
    return toVelocity(path, prediction, output, x, time);
  };
}

/** Repeats the labels asked for: a number, a list, 'all' (every class in turn) or 'random'. */
export function chooseLabels(
  config: RunConfig,
  wanted: 'all' | 'random' | readonly number[],
  { num, seed }: { num: number; seed: number },
): number[] {
  const classes = config.misc.num_classes;
  if (wanted === 'random') {
    const generator = new Generator(mix(seed, 0x5eed));
    return tidy(() =>
      tensor(Array.from({ length: num }, () => 0))
        .uniform_(0, classes, { generator })
        .floor()
        .clamp(0, classes - 1)
        .toNumbers(),
    );
  }
  const cycle = wanted === 'all' ? Array.from({ length: classes }, (_, i) => i) : wanted;
  return Array.from({ length: num }, (_, i) => cycle[i % cycle.length]!);
}

function checkLabels({ misc }: RunConfig, labels: readonly number[]): void {
  const bad = labels.find((label) => !Number.isInteger(label) || label < 0 || label >= misc.num_classes);
  if (bad !== undefined || labels.length === 0) {
    throw new ArgumentError(expected('labels', `classes from 0 to ${misc.num_classes - 1}`, bad ?? 'none'));
  }
}

function stackRows(parts: Tensor[]): Tensor {
  return stack(parts.flatMap((part) => part.unbind(0)));
}

/**
 * A 32-bit seed (all that mt19937 takes) of a seed and an index: for one seed a bijection of the index, so that no two pictures share
 * their noise (the finaliser of MurmurHash3).
 */
function mix(seed: number, index: number): number {
  let x = (Math.imul(seed, 0x9e3779b9) + index) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
