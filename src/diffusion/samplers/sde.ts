// The reverse-time SDE with the path's marginals: from t to t - dt, x <- x - (v - D(t) score) dt + sqrt(2 D(t) dt) xi, for any D >= 0
// (SiT, arXiv 2401.08740, section 2.3; spec, section 11.2).
// Differs from the reference, whose SDE runs only in part: the forms constant and sbdm work, names are free of its typo, and the last
// step is taken from the grid's last time. There it is taken at the unshifted last_step_size; `lastStepTime` repeats that.

import { type Generator, noGrad, randn, type Tensor, tidy } from '../../tensor/index.ts';
import { expected, nearest } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import { scoreFromVelocity } from '../convert.ts';
import { linear } from '../path.ts';
import { type Advance, type Step, type Velocity, walk } from './walk.ts';

/** D(t) on the linear path, times `norm`. */
export const diffusionForms = {
  constant: (_t: number, norm: number) => norm,
  sbdm: (t: number, norm: number) => (norm * t) / (1 - t), // infinite at t = 1: start the grid below it
  sigma: (t: number, norm: number) => norm * t,
  linear: (t: number, norm: number) => norm * t,
  decreasing: (t: number, norm: number) => 0.25 * (norm * Math.cos(Math.PI * (1 - t)) + 1) ** 2,
  'increasing-decreasing': (t: number, norm: number) => norm * Math.sin(Math.PI * (1 - t)) ** 2,
} as const satisfies Record<string, (t: number, norm: number) => number>;

export type DiffusionForm = keyof typeof diffusionForms;

/** How to get from the grid's last time to data: mean, the drift alone; tweedie, the posterior mean; euler, the velocity alone. */
export type LastStep = 'none' | 'mean' | 'tweedie' | 'euler';

export interface SdeOptions {
  readonly diffusion?: DiffusionForm;
  readonly norm?: number;
  readonly lastStep?: LastStep;
  /** Time and size of the last step, in place of the grid's last time. */
  readonly lastStepTime?: number;
  readonly generator?: Generator;
  /** The standard normal numbers of step i (0, 1, ...), borrowed, instead of drawn ones. */
  readonly noise?: (step: number) => Tensor;
  /** Called after every step of the grid and after the last step; `x` is borrowed. */
  readonly onStep?: (step: Step) => void;
}

export type SdeSampler = (velocity: Velocity, x: Tensor, times: readonly number[], options?: SdeOptions) => Tensor;

/** Euler-Maruyama: one velocity a step. */
export const eulerMaruyama: SdeSampler = (velocity, x, times, options = {}) =>
  walkSde('euler', velocity, x, times, options, (drift, state, noise, t, next, spread) => {
    return state.sub(drift(state, t).mul(t - next)).add(noise.mul(spread));
  });

/** Heun on the drift after the noise of the step was added: two velocities a step. Its last grid time must be above 0. */
export const stochasticHeun: SdeSampler = (velocity, x, times, options = {}) =>
  walkSde('heun', velocity, x, times, options, (drift, state, noise, t, next, spread) => {
    const dt = t - next;
    const noisy = state.add(noise.mul(spread));
    const k1 = drift(noisy, t);
    const k2 = drift(noisy.sub(k1.mul(dt)), next);
    return noisy.sub(k1.add(k2).mul(dt / 2));
  });

export const sdeSamplers = {
  euler_maruyama: eulerMaruyama, // 1 evaluation a step
  stochastic_heun: stochasticHeun, // 2
} as const satisfies Record<string, SdeSampler>;

export type SdeSamplerName = keyof typeof sdeSamplers;

/** The name of a configuration's sampling_method, in any case: `euler` and `heun` there (the reference's own default, 'Euler', fails in it). */
export function sdeNameOf(method: string): SdeSamplerName {
  const key = { euler: 'euler_maruyama', heun: 'stochastic_heun' }[method.toLowerCase()] ?? method.toLowerCase();
  lookUp('sampling_method of an SDE', sdeSamplers, key);
  return key as SdeSamplerName;
}

export function sdeSamplerNamed(name: string): SdeSampler {
  return sdeSamplers[sdeNameOf(name)];
}

/** Runs the sampler of this name and counts how often it asked for the velocity, the last step's too. */
export function sampleSde(
  name: string,
  velocity: Velocity,
  x: Tensor,
  { times, ...options }: SdeOptions & { readonly times: readonly number[] },
): { x: Tensor; evaluations: number } {
  let evaluations = 0;
  const counted: Velocity = (state, t) => {
    evaluations++;
    return velocity(state, t);
  };
  return { x: sdeSamplerNamed(name)(counted, x, times, options), evaluations };
}

/** The form of this name; the reference's 'SBDM' and 'inccreasing-decreasing' are understood. */
export function diffusionFormNamed(name: string): DiffusionForm {
  const key = name === 'inccreasing-decreasing' ? 'increasing-decreasing' : name.toLowerCase();
  lookUp('diffusion_form', diffusionForms, key);
  return key as DiffusionForm;
}

type DriftStep = (drift: Velocity, x: Tensor, noise: Tensor, t: number, next: number, spread: number) => Tensor;

function walkSde(
  name: string,
  velocity: Velocity,
  x: Tensor,
  times: readonly number[],
  options: SdeOptions,
  step: DriftStep,
): Tensor {
  const { diffusion = 'sbdm', norm = 1, lastStep = 'mean', generator, noise, onStep } = options;
  checkSde(name, times, options);
  const coefficient = (t: number) => diffusionForms[diffusion](t, norm);
  const drift: Velocity = (state, t) => {
    const v = velocity(state, t);
    const d = coefficient(t);
    return d === 0 ? v : v.sub(scoreFromVelocity(linear, v, state, t).mul(d));
  };
  const of = times.length - (lastStep === 'none' ? 1 : 0);
  let i = 0;
  const advance: Advance = ([state], t, next) => {
    const xi = noise?.(i) ?? randn(state!.shape, { generator, dtype: state!.dtype }).to({ device: state!.device });
    i++;
    return [step(drift, state!, xi, t, next, Math.sqrt(2 * coefficient(t) * (t - next)))];
  };
  const report = onStep ? { onStep: (at: Step) => onStep({ ...at, of }) } : {};
  const end = walk(name, x, times, report, advance);
  if (lastStep === 'none') return end;
  try {
    const t = options.lastStepTime ?? times.at(-1)!;
    const last = noGrad(() => tidy(() => lastSteps[lastStep]({ velocity, drift, x: end, t })));
    onStep?.({ step: of, of, t: 0, x: last });
    return last;
  } finally {
    end.dispose();
  }
}

const lastSteps = {
  mean: ({ drift, x, t }) => x.sub(drift(x, t).mul(t)),
  tweedie: ({ velocity, x, t }) =>
    x.div(1 - t).add(scoreFromVelocity(linear, velocity(x, t), x, t).mul((t * t) / (1 - t))),
  euler: ({ velocity, x, t }) => x.sub(velocity(x, t).mul(t)),
} as const satisfies Record<
  Exclude<LastStep, 'none'>,
  (at: { velocity: Velocity; drift: Velocity; x: Tensor; t: number }) => Tensor
>;

function checkSde(name: string, times: readonly number[], { diffusion = 'sbdm', lastStep = 'mean' }: SdeOptions): void {
  const [first, end] = [times[0] ?? 0, times.at(-1) ?? 0];
  if (!(first > end))
    throw new ArgumentError(expected(name, 'decreasing times: an SDE runs from noise to data', [...times]));
  if (diffusion === 'sbdm' && first >= 1) {
    throw new ArgumentError(
      expected(`${name} with sbdm diffusion`, 'a grid that starts below t = 1', first, 'Start at 0.999 or so.'),
    );
  }
  if (end <= 0 && (lastStep !== 'none' || name === 'heun')) {
    const what = lastStep === 'none' ? name : `last step '${lastStep}'`;
    throw new ArgumentError(expected(what, 'a grid that ends above t = 0', end, 'Set last_step_size above 0.'));
  }
}

function lookUp<T>(where: string, known: Readonly<Record<string, T>>, name: string): T {
  const found = Object.hasOwn(known, name.toLowerCase()) ? known[name.toLowerCase()] : undefined;
  if (found !== undefined) return found;
  const near = nearest(name, Object.keys(known));
  throw new ArgumentError(
    expected(where, `one of ${Object.keys(known).join(', ')}`, name, near && `Did you mean '${near}'?`),
  );
}
