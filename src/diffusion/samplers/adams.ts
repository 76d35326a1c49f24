// Adams methods of up to order 12 on the grid's own steps, started with rk4. torchdiffeq's explicit_adams (Bashforth) and
// implicit_adams (Bashforth predicts, Moulton corrects until two iterates agree; at most 4 times).
// They assume equal steps: on a shifted grid the order is lost (spec, appendix C), and at the higher orders they are unstable for
// stiff fields. torchdiffeq tabulates the coefficients; here they are computed exactly.

import type { Tensor } from '../../tensor/index.ts';
import { rk4Increment } from './rk4.ts';
import { type Advance, f32, type Sampler, type Velocity, walk } from './walk.ts';

const startOrder = 4;
const maxOrder = 12;
const maxIterations = 4;

export const explicitAdams: Sampler = (velocity, x, times, options = {}) =>
  walk(
    'explicit_adams',
    x,
    times,
    options,
    advance(velocity, (_x, _next, dy, history) => [dy, history]),
  );

export const implicitAdams: Sampler = (velocity, x, times, options = {}) => {
  const { rtol = 1e-3, atol = 1e-6 } = options;
  return walk(
    'implicit_adams',
    x,
    times,
    options,
    advance(velocity, (x, next, predicted, history, dt) => {
      const [first, ...rest] = moulton(history.length + 1);
      const known = weightedSum(rest, history).mul(dt);
      let dy = predicted;
      for (let i = 0; i < maxIterations; i++) {
        const before = dy;
        dy = velocity(x.add(dy), next)
          .mul(dt * first!)
          .add(known);
        const limit = before.abs().maximum(dy.abs()).mul(rtol).add(atol);
        if (before.sub(dy).abs().div(limit).max().item() < 1) return [dy, history];
      }
      return [dy, history.slice(0, -1)]; // not converged: torchdiffeq forgets the oldest velocity
    }),
  );
};

type Correct = (x: Tensor, next: number, dy: Tensor, history: Tensor[], dt: number) => [dy: Tensor, history: Tensor[]];

/** The state is [x, ...velocities, newest first]. */
function advance(velocity: Velocity, correct: Correct): Advance {
  return ([x, ...past], t, next) => {
    const dt = f32(next - t);
    const history = [velocity(x!, t).clone(), ...past].slice(0, maxOrder - 1); // a copy: velocity may hand out a tensor of its own
    if (history.length < startOrder - 1) {
      return [x!.add(rk4Increment(velocity, x!, t, next, history[0]!)), ...history];
    }
    const steps = bashforth(history.length).map((b) => b * dt);
    const [dy, kept] = correct(x!, next, weightedSum(steps, history), history, dt);
    return [x!.add(dy), ...kept];
  };
}

function weightedSum(weights: readonly number[], tensors: readonly Tensor[]): Tensor {
  return tensors.map((tensor, i) => tensor.mul(weights[i]!)).reduce((sum, term) => sum.add(term));
}

/** Weights of the last `order` velocities, newest first: the integral over [0, 1] of their interpolating polynomial at 0, -1, -2, ... */
export function bashforth(order: number): readonly number[] {
  return remembered(`bashforth ${order}`, () => Array.from({ length: order }, (_, i) => -i));
}

/** The same with the velocity at the step's end first: nodes 1, 0, -1, ... */
export function moulton(order: number): readonly number[] {
  return remembered(`moulton ${order}`, () => Array.from({ length: order }, (_, i) => 1 - i));
}

const known = new Map<string, readonly number[]>();

function remembered(name: string, nodes: () => readonly number[]): readonly number[] {
  const found = known.get(name) ?? integrals(nodes());
  known.set(name, found);
  return found;
}

/** Integrals over [0, 1] of the Lagrange polynomials of these integer nodes, exact until the last division. */
function integrals(nodes: readonly number[]): number[] {
  return nodes.map((node) => {
    let polynomial = [1n]; // ascending powers of s: the product of (s - other)
    let denominator = 1n;
    for (const other of nodes) {
      if (other === node) continue;
      denominator *= BigInt(node - other);
      polynomial = [0n, ...polynomial].map((c, i) => c - BigInt(other) * (polynomial[i] ?? 0n));
    }
    const common = polynomial.reduce((product, _, i) => product * BigInt(i + 1), 1n);
    const numerator = polynomial.reduce((sum, c, i) => sum + (c * common) / BigInt(i + 1), 0n);
    return quotient(numerator, common * denominator);
  });
}

function quotient(numerator: bigint, denominator: bigint): number {
  return Number((numerator << 80n) / denominator) / 2 ** 80;
}
