// Pictures from noise: labels and a seed in, latents out.
// Noise and label belong to the index of a picture, and the network runs at a fixed batch whose places belong to indices too; places
// beyond the last picture are filled with the pictures that would follow. So picture i is the same bit for bit whatever how many are
// made, in whatever portions, before or after an interruption (design, section 6).

import type { RunConfig } from '../config/index.ts';
import {
  type DiffusionForm,
  diffusionFormNamed,
  dimensionShift,
  type Guidance,
  gridToZero,
  guidedVelocity,
  type LabelledVelocity,
  type LastStep,
  linear,
  type Path,
  type Prediction,
  pathNamed,
  referenceGrid,
  type Step,
  sampleOde,
  samplersBeforeEnd,
  sampleSde,
  samplingInterval,
  sdeNameOf,
  toVelocity,
  type Velocity,
} from '../diffusion/index.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { autocast, cat, full, noGrad, stack, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ConfigError } from '../util/errors.ts';
import { networkBatch, type Precision } from './batches.ts';
import type { LabelOf } from './labels.ts';
import { keyedNoise, keyedStepNoise } from './noise.ts';
import { reusedEncoder } from './reuse-encoder.ts';

/** How a stochastic sampler diffuses, and how it ends: at `lastStepSize` before the shift, from where `lastStep` leads to data. */
export interface SdeChoice {
  diffusion: DiffusionForm;
  norm: number;
  lastStep: LastStep;
  lastStepSize: number;
}

export interface SamplingOptions {
  /** torchdiffeq's names and ours (`samplers`); with `sde` one of `sdeSamplers`. */
  method: string;
  /** Grid points with end 'reference' (50 make 49 Euler steps), steps with end 'zero'. */
  steps: number;
  /** An SDE always ends its grid at its last step. */
  end: 'reference' | 'zero';
  sde?: SdeChoice | undefined;
  /** DiT^DH: its encoder is run at every so many evaluations only. Default 1. */
  reuseEncoder?: number | undefined;
  guidance: Guidance;
  seed: number;
  /** Starting noise [N, C, h, w] of pictures 0 to N - 1, instead of drawn. */
  noise?: Tensor | undefined;
  /** Samples the network is given at once; by default what suits its size. Other sizes change last bits. */
  batch?: number | undefined;
  precision?: Precision | undefined;
  /** Tolerances of adaptive samplers. */
  rtol?: number | undefined;
  atol?: number | undefined;
  /** After every step of every batch; throw from it to stop. */
  onStep?: ((done: { index: number; step: number; of: number }) => void) | undefined;
}

export interface SampledBatch {
  /** Index of its first picture. */
  index: number;
  labels: number[];
  /** Latents [n, C, h, w], normalised by the statistics. The caller frees them. */
  latents: Tensor;
  /** How often the network was asked for a velocity. */
  evaluations: number;
}

/** Samples pictures `first` to `first + num - 1`, one batch at a time. Throws ArgumentError for labels outside of the model's classes. */
export function* generateBatches(
  config: RunConfig,
  model: Stage2Model,
  labelOf: LabelOf,
  { first = 0, num, ...options }: SamplingOptions & { first?: number | undefined; num: number },
): Generator<SampledBatch> {
  const batch = options.batch ?? networkBatch(tokensOf(model));
  const times = samplingTimes(config, options);
  if (num < 1) return;
  const end = first + num;
  for (let start = first - (first % batch); start < end; start += batch) {
    const from = Math.max(first, start);
    const count = Math.min(end, start + batch) - from;
    const labels = Array.from({ length: batch }, (_, i) => checkLabel(config, labelOf(start + i)));
    let evaluations = 0;
    const latents = noGrad(() =>
      tidy(() => {
        const noise = stack(labels.map((_, i) => noiseOf(model, start + i, options)));
        const y = tensor(labels, { dtype: 'i64' });
        const network = reusedEncoder(model, options.reuseEncoder);
        try {
          const velocity = guidedVelocity(labelled(config, network, options.precision), y, options.guidance);
          const onStep = ({ step, of }: Step) => options.onStep?.({ index: from, step, of });
          const run = integrate(velocity, noise, times, { options, start, onStep });
          evaluations = run.evaluations;
          return run.x.narrow(0, from - start, count).clone();
        } finally {
          network.dispose?.();
        }
      }),
    );
    yield { index: from, labels: labels.slice(from - start, from - start + count), latents, evaluations };
  }
}

function integrate(
  velocity: Velocity,
  noise: Tensor,
  times: readonly number[],
  { options, start, onStep }: { options: SamplingOptions; start: number; onStep: (step: Step) => void },
): { x: Tensor; evaluations: number } {
  const { method, sde, seed, rtol, atol } = options;
  if (sde === undefined) {
    const tolerances = { ...(rtol !== undefined && { rtol }), ...(atol !== undefined && { atol }) };
    return sampleOde(method, velocity, noise, { times, onStep, ...tolerances });
  }
  const [rows = 0, ...shape] = noise.shape;
  return sampleSde(method, velocity, noise, {
    times,
    diffusion: sde.diffusion,
    norm: sde.norm,
    lastStep: sde.lastStep,
    noise: (step) =>
      stack(Array.from({ length: rows }, (_, i) => keyedStepNoise(shape, { seed, index: start + i, step }))),
    onStep,
  });
}

/** One latent [C, h, w] for each label, all at once: [N, C, h, w]. */
export function generateLatents(
  config: RunConfig,
  model: Stage2Model,
  labels: readonly number[],
  options: SamplingOptions,
): { latents: Tensor; evaluations: number } {
  if (labels.length === 0) throw new ArgumentError('generateLatents: expected at least one label, received none.');
  return tidy(() => {
    const labelOf: LabelOf = (index) => labels[index % labels.length]!;
    const batches = [...generateBatches(config, model, labelOf, { ...options, num: labels.length })];
    const evaluations = batches[0]!.evaluations;
    return {
      latents: cat(
        batches.map(({ latents }) => latents),
        0,
      ),
      evaluations,
    };
  });
}

/** Where the diffusion of 'sbdm' is infinite (t = 1), its grid starts this far below, before the shift. */
const SBDM_START = 1e-3;

/** The grid of times of a configuration's transport: shifted by the latent's dimension. ConfigError where the method is of another path. */
export function samplingTimes(
  config: RunConfig,
  { method, steps, end, sde }: Pick<SamplingOptions, 'method' | 'steps' | 'end' | 'sde'>,
): number[] {
  const { path_type, prediction, sample_eps } = config.transport.params;
  const path = pathNamed(path_type);
  if (path !== linear && (sde !== undefined || method === 'dpmpp_2m')) {
    const next = `'${method}' is derived for that path: choose another sampler.`;
    throw new ConfigError(expected('transport.params.path_type', `'Linear'`, path_type, next));
  }
  const interval = samplingInterval(path, prediction, sample_eps);
  const shift = shiftOf(config);
  if (sde !== undefined) {
    const low = sde.diffusion === 'sbdm' ? Math.max(interval[0], SBDM_START) : interval[0];
    const high = sde.lastStep === 'none' ? interval[1] : 1 - sde.lastStepSize;
    return referenceGrid(steps, { shift, interval: [low, high] });
  }
  if (end === 'zero') checkEndAtZero(path, prediction, method);
  return end === 'zero' ? gridToZero(steps, { shift, interval }) : referenceGrid(steps, { shift, interval });
}

/** At t = 0 nothing but velocity can be asked for, except on VP, which keeps some noise. */
function checkEndAtZero(path: Path, prediction: Prediction, method: string): void {
  if (prediction === 'velocity' || path.name === 'vp' || samplersBeforeEnd.some((name) => name === method)) return;
  const next = `'${method}' looks at t = 0, where no velocity follows from it. Others do not: ${samplersBeforeEnd.join(', ')}.`;
  throw new ConfigError(expected('--end', `'reference' with ${prediction} prediction`, 'zero', next));
}

export type SamplerChoice = Pick<SamplingOptions, 'method' | 'steps' | 'end' | 'rtol' | 'atol' | 'sde'>;

/** The sampler of a configuration as options: its method, number of steps, where it ends, tolerances; of an SDE its diffusion and last step. */
export function samplerOf({ sampler }: RunConfig): SamplerChoice {
  if (sampler.mode === 'ODE') {
    const { sampling_method, num_steps, rtol, atol } = sampler.params;
    return { method: sampling_method, steps: num_steps, end: sampler.end, rtol, atol };
  }
  const { sampling_method, num_steps, diffusion_form, diffusion_norm, last_step, last_step_size } = sampler.params;
  const lastStep = last_step === null ? 'none' : ((last_step?.toLowerCase() ?? 'mean') as LastStep);
  const sde = {
    diffusion: diffusionFormNamed(diffusion_form),
    norm: diffusion_norm,
    lastStep,
    lastStepSize: last_step_size,
  };
  return { method: sdeNameOf(sampling_method), steps: num_steps, end: 'reference', sde };
}

/** The guidance of a configuration: none where its scale is 1, autoguidance only with a `guide` network given. */
export function guidanceOf(config: RunConfig, model: Stage2Model, guide?: LabelledVelocity): Guidance {
  const { method, scale, t_min, t_max } = config.guidance;
  if (scale <= 1) return {};
  const term = { scale, interval: [t_min, t_max] as const };
  if (method === 'autoguidance') {
    if (guide) return { auto: { ...term, guide } };
    throw new ConfigError('guidance: expected a guide network for autoguidance, received none. Give one with --guide.');
  }
  return { cfg: { ...term, nullLabel: nullLabelOf(config, model) } };
}

/** The null label of classifier-free guidance. ConfigError where the model has none. */
export function nullLabelOf({ misc }: RunConfig, model: Stage2Model): number {
  if (model.nullLabel !== undefined) return misc.null_label;
  const what = 'a model trained with label dropout for classifier-free guidance';
  throw new ConfigError(`guidance: expected ${what}, received one without a null label. Leave guidance out.`);
}

/** sqrt(dim / base) of the configuration's latent. */
export function shiftOf({ misc }: RunConfig): number {
  if (misc.time_dist_shift_dim === undefined) {
    throw new ArgumentError(
      'misc: expected latent_size or time_dist_shift_dim, received neither. Give the size of the latent [C, h, w].',
    );
  }
  return dimensionShift(misc.time_dist_shift_dim, misc.time_dist_shift_base);
}

/** A model as the samplers want it: its prediction turned into a velocity, one time for the whole batch, under autocast for bf16. */
export function labelled(
  config: RunConfig,
  model: Pick<Stage2Model, 'forward'>,
  precision: Precision = 'fp32',
): LabelledVelocity {
  const { path_type, prediction } = config.transport.params;
  const path = pathNamed(path_type);
  return (x, t, y) => {
    const time = full([x.size(0)], t, { device: x.device });
    const output = autocast({ dtype: 'bf16', enabled: precision === 'bf16' }, () => model.forward(x, time, y));
    return toVelocity(path, prediction, output, x, t);
  };
}

/** Tokens of one latent, if patches are single positions (as in every published model). */
export function tokensOf({ inputSize: [height, width] }: Stage2Model): number {
  return height * width;
}

/** Given noise ends somewhere; places beyond it repeat its last. */
function noiseOf(model: Stage2Model, index: number, { noise, seed }: SamplingOptions): Tensor {
  if (noise) return noise.select(0, Math.min(index, noise.size(0) - 1)).to('f32');
  return keyedNoise([model.inChannels, ...model.inputSize], seed, index);
}

function checkLabel({ misc }: RunConfig, label: number): number {
  if (Number.isInteger(label) && label >= 0 && label < Math.max(1, misc.num_classes)) return label;
  throw new ArgumentError(expected('labels', `classes from 0 to ${misc.num_classes - 1}`, label));
}
