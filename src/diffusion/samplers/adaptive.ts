// Embedded Runge-Kutta methods that choose their own steps, as torchdiffeq 0.2.5 does it (spec, section 11.1): the initial step by
// Hairer, Norsett and Wanner (Solving Ordinary Differential Equations I, II.4), the next one from the RMS norm of the error over
// atol + rtol max(|x0|, |x1|), and the grid's points read off a quartic through each accepted step. Time and step are float64; the time
// that the velocity sees has the state's dtype, at a step's end the neighbouring number outside it (torchdiffeq's guard against jumps).
// The grid only says what to report. The last step reaches beyond its end (velocities at t < 0 where it ends at 0) unless `overshoot` is false.

import { noGrad, type Tensor, tidy } from '../../tensor/index.ts';
import { expected } from '../../util/check.ts';
import { ArgumentError } from '../../util/errors.ts';
import { checkStart, type Sampler, type SamplerOptions, type Velocity } from './walk.ts';

/** One method: `beta[i]` makes stage i + 1 at node `alpha[i]`; `solution`, `error` and `middle` weight all stages. */
export interface Tableau {
  readonly order: number;
  readonly alpha: readonly number[];
  readonly beta: readonly (readonly number[])[];
  /** Undefined where the last stage is the solution already (first same as last). */
  readonly solution?: readonly number[];
  readonly error: readonly number[];
  /** Of the state in the middle of the step, for the dense output. */
  readonly middle: readonly number[];
}

const [safety, growth, shrink] = [0.9, 10, 0.2];

interface Limits {
  rtol: number;
  atol: number;
  /** A number as the state's dtype holds it. */
  round: (value: number) => number;
}

/** The sampler of a tableau. */
export function adaptive(name: string, tableau: Tableau): Sampler {
  return (velocity, x, times, options = {}) => {
    checkStart(name, x, times);
    return noGrad(() => integrate(name, tableau, velocity, x, times, options));
  };
}

function integrate(
  name: string,
  tableau: Tableau,
  velocity: Velocity,
  start: Tensor,
  times: readonly number[],
  { onStep, rtol = 1e-3, atol = 1e-6, overshoot = true }: SamplerOptions,
): Tensor {
  const limits: Limits = { rtol, atol, round: start.dtype === 'f64' ? (value) => value : Math.fround };
  const direction = Math.sign(times[1]! - times[0]!);
  const grid = times.map((t) => t * direction); // increasing, as torchdiffeq negates a decreasing one
  const end = grid.at(-1)!;
  const field: Velocity = (x, t) =>
    velocity(x, t * direction)
      .to(start.dtype)
      .mul(direction); // stages are summed in the state's dtype

  let saved: Tensor | undefined; // the state at the last reported time
  let state = { x: start, f: tidy(() => field(start, limits.round(grid[0]!))) };
  let t = grid[0]!;
  const free = (old: Tensor | undefined) => {
    if (old && old !== start) old.dispose();
  };
  try {
    let dt = tidy(() => initialStep(field, state.x, state.f, t, tableau.order, limits));
    for (let i = 1; i < grid.length; ) {
      if (!overshoot) dt = Math.min(dt, end - t);
      const next = !overshoot && dt === end - t ? end : t + dt;
      if (!(next > t)) throw stuck(name, dt, t * direction);
      const step = tidy(() => tryStep(tableau, field, state, t, dt, next, limits, next >= grid[i]!));
      if (Number.isNaN(step.ratio)) throw stuck(name, step.ratio, t * direction);
      if (step.accepted) {
        const { x, f, dense } = step.accepted;
        free(state.x);
        free(state.f);
        state = { x, f };
        try {
          for (; i < grid.length && grid[i]! <= next; i++) {
            free(saved);
            saved = tidy(() => evaluate(dense, limits.round((grid[i]! - t) / (next - t))));
            onStep?.({ step: i, of: grid.length - 1, t: times[i]!, x: saved });
          }
        } finally {
          for (const coefficient of dense) free(coefficient);
        }
        t = next;
      }
      dt *= stepFactor(step.ratio, tableau.order);
    }
  } catch (error) {
    free(saved);
    throw error;
  } finally {
    free(state.x);
    free(state.f);
  }
  return saved!;
}

function stuck(name: string, value: number, t: number): ArgumentError {
  const what = Number.isNaN(value) ? 'NaN or infinity' : `a field that needs steps of ${value}`;
  return new ArgumentError(
    expected(name, 'finite and smooth velocities', `${what} near t = ${t}`, 'Try a fixed-step sampler.'),
  );
}

interface Attempt {
  /** The error in units of the tolerance; a step is taken when it is at most 1. */
  ratio: number;
  accepted?: { x: Tensor; f: Tensor; dense: Tensor[] };
}

function tryStep(
  { alpha, beta, solution, error, middle }: Tableau,
  field: Velocity,
  state: { x: Tensor; f: Tensor },
  t: number,
  dt: number,
  next: number,
  limits: Limits,
  wantDense: boolean,
): Attempt {
  const { round, rtol, atol } = limits;
  const [from, width, to] = [round(t), round(dt), round(next)];
  const k = [state.f];
  const at = (weights: readonly number[]) =>
    weighted(
      k,
      weights.map((weight) => round(round(weight) * width)),
    );
  let x = state.x;
  for (const [i, weights] of beta.entries()) {
    x = state.x.add(at(weights));
    const node = alpha[i]! === 1 ? before(to, limits) : round(from + round(round(alpha[i]!) * width));
    k.push(field(x, node));
  }
  if (solution) x = state.x.add(at(solution));
  const tolerance = state.x.abs().maximum(x.abs()).mul(rtol).add(atol);
  const ratio = rms(at(error).div(tolerance));
  if (!(ratio <= 1)) return { ratio };
  const f = k.at(-1)!;
  return {
    ratio,
    accepted: { x, f, dense: wantDense ? quartic(state.x, x, state.x.add(at(middle)), state.f, f, width) : [] },
  };
}

/** How much longer the next step may be. */
function stepFactor(ratio: number, order: number): number {
  if (ratio === 0) return growth;
  return Math.min(growth, Math.max(safety / ratio ** (1 / order), ratio < 1 ? 1 : shrink));
}

function initialStep(
  field: Velocity,
  x: Tensor,
  f: Tensor,
  t: number,
  order: number,
  { rtol, atol, round }: Limits,
): number {
  const scale = x.abs().mul(rtol).add(atol);
  const [size, slope] = [rms(x.div(scale)), rms(f.div(scale))];
  const trial = size < 1e-5 || slope < 1e-5 ? round(1e-6) : round(round(0.01 * size) / slope);
  const f1 = field(x.add(f.mul(trial)), round(t + trial));
  const curvature = round(rms(f1.sub(f).div(scale)) / trial);
  const step =
    slope <= 1e-15 && curvature <= 1e-15
      ? Math.max(round(1e-6), round(trial * 1e-3))
      : round(round(0.01 / Math.max(slope, curvature)) ** (1 / order));
  return Math.min(round(100 * trial), step);
}

/** Coefficients, constant first, of the quartic in [0, 1] through both ends, their slopes, and the middle. */
function quartic(x0: Tensor, x1: Tensor, middle: Tensor, f0: Tensor, f1: Tensor, dt: number): Tensor[] {
  return [
    x0.clone(),
    f0.mul(dt),
    f1.sub(f0.mul(4)).mul(dt).sub(x0.mul(11)).sub(x1.mul(5)).add(middle.mul(16)),
    f0.mul(5).sub(f1.mul(3)).mul(dt).add(x0.mul(18)).add(x1.mul(14)).sub(middle.mul(32)),
    f1
      .sub(f0)
      .mul(2 * dt)
      .sub(x1.add(x0).mul(8))
      .add(middle.mul(16)),
  ];
}

function evaluate(coefficients: readonly Tensor[], at: number): Tensor {
  return coefficients.reduceRight((sum, coefficient) => sum.mul(at).add(coefficient));
}

/** The sum of weight * tensor, leaving out what has weight 0. */
function weighted(tensors: readonly Tensor[], weights: readonly number[]): Tensor {
  return tensors
    .flatMap((tensor, i) => (weights[i] ? [tensor.mul(weights[i])] : []))
    .reduce((sum, term) => sum.add(term));
}

function rms(x: Tensor): number {
  return x.square().mean().sqrt().item();
}

/** The next smaller number of the state's dtype. */
function before(value: number, { round }: Limits): number {
  const bits = round(1 / 3) === 1 / 3 ? new Float64Array([value]) : new Float32Array([value]);
  const integers = bits instanceof Float64Array ? new BigInt64Array(bits.buffer) : new Int32Array(bits.buffer);
  if (value === 0) return bits instanceof Float64Array ? -Number.MIN_VALUE : -(2 ** -149);
  const down = value > 0 ? -1 : 1; // magnitudes grow with the bits read as an integer
  if (integers instanceof BigInt64Array) integers[0] = integers[0]! + BigInt(down);
  else integers[0] = integers[0]! + down;
  return bits[0]!;
}
