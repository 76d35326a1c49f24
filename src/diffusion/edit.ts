// More from a trained velocity than fresh samples: interpolation, inversion, variation, inpainting, mixtures (no reference; the ideas are
// DDIM's inversion, arXiv 2010.02502, SDEdit, arXiv 2108.01073, and RePaint, arXiv 2201.09865).
// All work on latents that were normalised as for training, on the linear path, and leave the caller's tensors alone.

import { type Tensor, tensor, tidy, where } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { interpolate, linear, over } from './path.ts';
import { heun2 } from './samplers/heun2.ts';
import type { Sampler, SamplerOptions, Velocity } from './samplers/walk.ts';

export interface EditOptions extends SamplerOptions {
  /** The grid that samples are drawn with, from noise to data. */
  readonly times: readonly number[];
  readonly sampler?: Sampler;
}

/**
 * Spherical interpolation of noises `a`, `b` [B, ...], sample by sample: sin((1-w) angle)/sin(angle) a + sin(w angle)/sin(angle) b.
 * Unlike a straight line it keeps the norm that noise has, so that the midpoint is noise too.
 */
export function slerp(a: Tensor, b: Tensor, weight: number): Tensor {
  sameShape('slerp', a, b);
  return tidy(() => {
    const [flatA, flatB] = [a.flatten(1, -1), b.flatten(1, -1)];
    const norms = flatA.linalgVectorNorm(2, 1).mul(flatB.linalgVectorNorm(2, 1));
    const cosine = flatA.mul(flatB).sum(1).div(norms).clamp(-1, 1);
    const pairs = cosine.toNumbers().map((value) => {
      const angle = Math.acos(value);
      const sine = Math.sin(angle);
      // Parallel noises (and opposite ones, which have no shortest arc) go straight.
      return sine < 1e-4
        ? [1 - weight, weight]
        : [Math.sin((1 - weight) * angle) / sine, Math.sin(weight * angle) / sine];
    });
    const column = (i: number) =>
      tensor(
        pairs.map((pair) => pair[i]!),
        { device: a.device },
      )
        .unsqueeze(1)
        .to(a.dtype);
    return flatA
      .mul(column(0))
      .add(flatB.mul(column(1)))
      .reshape(a.shape);
  });
}

/** The noise that `velocity` turns into `data`: the same ODE from the grid's last time up. Where the grid ends above 0, `data` is taken for the state there. */
export function invert(velocity: Velocity, data: Tensor, { times, sampler = heun2, ...options }: EditOptions): Tensor {
  return sampler(velocity, data, [...times].reverse(), options);
}

/**
 * A variation of `data`: noised up to time `from` and sampled again from there. Near 0 nearly the same picture, at 1 a fresh sample.
 * `noise` has data's shape.
 */
export function vary(
  velocity: Velocity,
  data: Tensor,
  { times, from, noise, sampler = heun2, ...options }: EditOptions & { readonly from: number; readonly noise: Tensor },
): Tensor {
  sameShape('vary', data, noise);
  const rest = timesFrom(times, from);
  const start = tidy(() => interpolate(linear, data, noise, tensor([from], { device: data.device })));
  try {
    return sampler(velocity, start, rest, options);
  } finally {
    start.dispose();
  }
}

/** The part of a decreasing grid that starts at `from`. */
export function timesFrom(times: readonly number[], from: number): number[] {
  const rest = times.filter((t) => t < from);
  if (!(from > 0 && from <= 1) || rest.length === 0) {
    const end = times.at(-1);
    throw new ArgumentError(expected('timesFrom', `a time in (${end}, 1], above the grid's end`, from));
  }
  return [Math.fround(from), ...rest];
}

export interface InpaintOptions extends EditOptions {
  readonly mask: Tensor;
  readonly noise: Tensor;
  readonly repeats?: number;
  readonly fresh?: (draw: number) => Tensor;
}

/**
 * Fills in where `mask` (bool, broadcast to data) is true and holds the rest to `data`: after each step the known part is replaced by
 * data noised to that time with the same `noise` that the sample starts from. Each step is taken `repeats` times, between which the state
 * is noised back to where the step began (RePaint's resampling): so what is filled in comes to fit what is held. `fresh` gives the noise for
 * that, of data's shape. Steps are taken one by one, so that methods with a memory start anew in each.
 */
export function inpaint(
  velocity: Velocity,
  data: Tensor,
  { times, mask, noise, repeats = 1, fresh, sampler = heun2, onStep, ...options }: InpaintOptions,
): Tensor {
  sameShape('inpaint', data, noise);
  if (mask.dtype !== 'bool')
    throw new ArgumentError(expected('inpaint', "a mask of dtype 'bool', true where to fill in", mask.dtype));
  if (times.length < 2) throw new ArgumentError(expected('inpaint', 'at least two times (one step)', [...times]));
  if (!(Number.isInteger(repeats) && repeats >= 1) || (repeats > 1 && fresh === undefined))
    throw new ArgumentError(expected('inpaint', 'repeats of at least 1, and `fresh` where they are more', repeats));
  let x = noise;
  let draws = 0;
  const free = (old: Tensor) => {
    if (old !== noise) old.dispose();
  };
  try {
    for (let i = 1; i < times.length; i++) {
      const [before, t] = [times[i - 1]!, times[i]!];
      for (let repeat = 1; repeat <= repeats; repeat++) {
        const next = tidy(() => {
          const moved = sampler(velocity, x, [before, t], options);
          const held = where(mask, moved, interpolate(linear, data, noise, tensor([t], { device: data.device })));
          return repeat === repeats ? held : noisedBack(held, t, before, fresh!(draws++));
        });
        free(x);
        x = next;
      }
      onStep?.({ step: i, of: times.length - 1, t, x });
    }
  } catch (error) {
    free(x);
    throw error;
  }
  return x;
}

/** From the marginal at `t` to that at `before` > t: x (1 - before) / (1 - t), and as much noise as is missing. */
function noisedBack(x: Tensor, t: number, before: number, noise: Tensor): Tensor {
  const kept = (1 - before) / (1 - t);
  return x.mul(kept).add(noise.mul(Math.sqrt(before ** 2 - (kept * t) ** 2)));
}

/** A weighted mean of velocities, such as those of several classes: the weights are divided by their sum. */
export function mixVelocities(velocities: readonly Velocity[], weights: readonly number[]): Velocity {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (
    velocities.length === 0 ||
    weights.length !== velocities.length ||
    weights.some((w) => !(w >= 0)) ||
    !(total > 0)
  ) {
    const what = `one weight of at least 0 for each of ${velocities.length} velocities, not all 0`;
    throw new ArgumentError(expected('mixVelocities', what, [...weights]));
  }
  return (x, t) =>
    velocities.map((velocity, i) => velocity(x, t).mul(weights[i]! / total)).reduce((sum, part) => sum.add(part));
}

/** (1 - weight) a + weight b, `weight` [B] of each sample: a class that turns into another along a strip. */
export function blendVelocities(a: Velocity, b: Velocity, weight: Tensor): Velocity {
  return (x, t) => {
    const share = over(weight, x);
    return a(x, t).mul(share.neg().add(1)).add(b(x, t).mul(share));
  };
}

function sameShape(where: string, a: Tensor, b: Tensor): void {
  if (a.shape.join() !== b.shape.join())
    throw new ShapeError(expected(where, `tensors of one shape, [${a.shape}]`, [...b.shape]));
}
