// Edits by a model: what src/diffusion/edit.ts does to latents with a velocity, done with a model, its classes, guidance and sampler.
// Rows of one call are computed together; the sampler's `onStep` reports and may stop them.

import type { RunConfig } from '../config/index.ts';
import {
  blendVelocities,
  guidedVelocity,
  inpaint,
  invert,
  linear,
  mixVelocities,
  pathNamed,
  type Sampler,
  type Step,
  samplerNamed,
  shiftTime,
  slerp,
  type Velocity,
  vary,
} from '../diffusion/index.ts';
import { cat, noGrad, stack, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { labelled, type SamplingOptions, samplingTimes, shiftOf } from './generate.ts';
import type { LoadedGenerator } from './load-model.ts';
import { keyedNoise, keyedStepNoise } from './noise.ts';
import { reusedEncoder } from './reuse-encoder.ts';

export interface EditSettings extends Omit<SamplingOptions, 'onStep' | 'noise' | 'batch'> {
  onStep?: ((step: Step) => void) | undefined;
}

export interface Editor {
  /** Noise [C, h, w] of a seed, as picture 0 of `rae sample` has it. */
  noise(seed: number): Tensor;
  /** From noise [N, C, h, w] to latents under a velocity. */
  sample(velocity: Velocity, noise: Tensor): Tensor;
  /** The model's guided velocity for rows of these classes. */
  velocity(labels: readonly number[]): Velocity;
  /** Frames between key frames: a seed and a class each, noises by slerp, velocities of two classes by weight. */
  interpolate(keys: readonly KeyFrame[], frames: number): Tensor;
  /** Samples of a weighted mixture of classes. */
  mix(classes: readonly number[], weights: readonly number[], noise: Tensor): Tensor;
  /** The noise that leads to `latents`. */
  invert(velocity: Velocity, latents: Tensor): Tensor;
  /** `strength` of the way back to noise (the share of the grid's steps that are run), then forward again. */
  vary(velocity: Velocity, latents: Tensor, options: { strength: number; noise: Tensor }): Tensor;
  /** Fills in where `mask` [h, w] is true. */
  inpaint(velocity: Velocity, latents: Tensor, options: { mask: Tensor; noise: Tensor; repeats: number }): Tensor;
}

export interface KeyFrame {
  seed: number;
  label: number;
}

/** ConfigError for a stochastic sampler and for paths other than the linear one, for which the edits are derived. */
export function editorOf({ config, generator }: LoadedGenerator, settings: EditSettings): Editor {
  checkEditable(config, settings);
  const { guidance, precision, seed } = settings;
  const times = samplingTimes(config, settings);
  const shape = [generator.inChannels, ...generator.inputSize];
  const sampler: Sampler = samplerNamed(settings.method);
  const options = { ...(settings.onStep && { onStep: settings.onStep }), times };
  const run = (work: () => Tensor): Tensor => noGrad(() => tidy(work));
  const network = reusedEncoder(generator); // every evaluation its own: an edit leaves the path that reuse relies on
  const velocity = (labels: readonly number[]): Velocity =>
    guidedVelocity(labelled(config, network, precision), tensor([...labels], { dtype: 'i64' }), guidance);
  const sample = (field: Velocity, noise: Tensor) => run(() => sampler(field, noise, times, options));
  return {
    noise: (own) => keyedNoise(shape, own, 0),
    sample,
    velocity,
    interpolate: (keys, frames) =>
      run(() => {
        const at = Array.from({ length: frames }, (_, i) => placeAt(frames === 1 ? 0 : i / (frames - 1), keys.length));
        const starts = at.map(({ key, next, weight }) => {
          const [a, b] = [keys[key]!, keys[next]!].map((frame) => keyedNoise(shape, frame.seed, 0).unsqueeze(0));
          return slerp(a!, b!, weight);
        });
        const [from, to] = [at.map(({ key }) => keys[key]!.label), at.map(({ next }) => keys[next]!.label)];
        const same = from.every((label, i) => label === to[i]);
        const weights = tensor(at.map(({ weight }) => weight));
        const field = same ? velocity(from) : blendVelocities(velocity(from), velocity(to), weights);
        return sampler(field, cat(starts, 0), times, options);
      }),
    mix: (classes, weights, noise) =>
      run(() => {
        const fields = classes.map((label) => velocity(Array.from({ length: noise.size(0) }, () => label)));
        return sampler(mixVelocities(fields, weights), noise, times, options);
      }),
    invert: (field, latents) => run(() => invert(field, latents, { ...options, sampler })),
    vary: (field, latents, { strength, noise }) => {
      const from = shiftTime(strength, shiftOf(config));
      if (from >= times[0]!) return sample(field, noise);
      return run(() => vary(field, latents, { ...options, sampler, from, noise }));
    },
    inpaint: (field, latents, { mask, noise, repeats }) => {
      const [rows = 0] = noise.shape;
      const fresh = (draw: number) =>
        stack(Array.from({ length: rows }, (_, row) => keyedStepNoise(shape, { seed, index: row, step: draw })));
      return run(() => inpaint(field, latents, { ...options, sampler, mask, noise, repeats, fresh }));
    },
  };

  function placeAt(position: number, count: number): { key: number; next: number; weight: number } {
    const place = position * (count - 1);
    const key = Math.min(Math.floor(place), Math.max(0, count - 2));
    return { key, next: Math.min(key + 1, count - 1), weight: place - key };
  }
}

function checkEditable(config: RunConfig, { method, sde }: Pick<SamplingOptions, 'method' | 'sde'>): void {
  if (sde !== undefined) {
    const next = 'An edit follows one path to noise and back: name euler, heun2, ...';
    throw new ConfigError(expected('--sampler', 'a sampler of the ODE', method, next));
  }
  const { path_type } = config.transport.params;
  if (pathNamed(path_type) !== linear)
    throw new ConfigError(expected('rae edit', "a model of the path 'Linear'", path_type));
}
