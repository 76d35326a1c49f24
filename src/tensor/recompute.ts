// Activation checkpointing (arXiv 1604.06174): a part of a network keeps its inputs alone, and computes its insides again when its gradient
// is asked for. Memory then grows with the number of parts, not with what is inside them, for one more forward pass.
// Differs from PyTorch's: no node in libtorch's graph but cuts in it, so that backward never calls into JavaScript from a thread of
// libtorch. The graph ends at every part's inputs and begins anew, as a leaf, at its output; backward() (grad.ts) then walks the parts
// from last to first. Gradients are the same bits as without.

import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { engine, recording } from './engine.ts';
import { defaultGenerator } from './random.ts';
import { keep, tidy } from './scope.ts';
import type { Tensor } from './tensor.ts';

/** A place where the graph was cut: `leaf` is where it begins anew. */
interface Cut {
  leaf: Tensor;
  /** Continues the backward pass with the gradient that has arrived at `leaf`. */
  resume(gradient: Tensor, retainGraph: boolean): void;
  dispose(): void;
}

let cuts: Cut[] | undefined;

/**
 * Runs one forward and backward pass (or several) in which recomputed() keeps no insides:
 *
 *     recomputing({ enabled }, () => {
 *       const loss = lossOf(model.forward(x)); // model calls cut() and recomputed(), which do nothing without this scope
 *       backward(loss);                        // inside the scope, else the gradients of the recomputed parts are missing
 *     });
 *
 * grad() does not see through a cut: what it differentiates by must lie behind the last one (a decoder's last layer does).
 */
export function recomputing<T>({ enabled = true }: { enabled?: boolean }, fn: () => T): T {
  if (!enabled) return fn();
  const outer = cuts;
  const mine: Cut[] = [];
  cuts = mine;
  try {
    const result = fn();
    if (!(result instanceof Promise)) return result;
    result.catch(() => {});
    throw new ArgumentError('recomputing: expected a synchronous callback, received one that returns a promise.');
  } finally {
    cuts = outer;
    for (const cut of mine) cut.dispose();
  }
}

/**
 * `fn(...inputs)`, of which only the inputs are kept until backward. Inputs that need a gradient must be cut() or come from recomputed()
 * (ArgumentError): they begin the graph of this part, and the rest of the network must use the same tensors. `fn` runs again
 * in backward(): it may use parameters, autocast and libtorch's default generator (whose draws are repeated), but no other tensor that
 * does not live until then (make it an input), no other generator, and it frees no input. In a network:
 *
 *     let x = cut(embed(tokens));
 *     const condition = cut(silu(embedTime(t)));
 *     for (const block of blocks) x = recomputed([x, condition], (x, condition) => block.forward(x, condition));
 */
export function recomputed<I extends readonly Tensor[]>(inputs: readonly [...I], fn: (...inputs: I) => Tensor): Tensor {
  const list = cuts;
  if (list === undefined || !recording()) return fn(...(inputs as unknown as I));
  for (const [i, x] of inputs.entries()) {
    if (x.requiresGrad && !x.isLeaf) {
      const what = `input ${i} to be a leaf or without gradient`;
      throw new ArgumentError(expected('recomputed', what, x.toString(), 'Pass it through cut() where it is made.'));
    }
  }
  const given = inputs.map((x) => (x.requiresGrad ? alias(x) : keep(x.detach())));
  const modes = currentModes();
  // With gradient although its graph is dropped at once: kernels are chosen by whether they will be differentiated.
  const own = given.map(startOf);
  const output = runDetached(() => fn(...(own as unknown as I)), [...own, ...given]);
  for (const x of own) x.dispose();
  if (!output.requiresGrad) {
    for (const x of given) x.dispose();
    return output;
  }
  list.push({
    leaf: alias(output),
    resume(gradient) {
      const again = given.map(startOf);
      try {
        const whole = inModes(modes, () => tidy(() => fn(...(again as unknown as I))));
        engine().backward([whole.handle], [gradient.handle], false);
        whole.dispose();
        for (const [i, x] of again.entries()) if (given[i]!.requiresGrad) addGrad(given[i]!, x);
      } finally {
        for (const x of again) x.dispose();
      }
    },
    dispose() {
      for (const x of given) x.dispose();
      this.leaf.dispose();
    },
  });
  return output;
}

/**
 * `x` as the input of recomputed() parts: the same numbers, the graph behind it waiting for the sum of all their gradients. What two cuts
 * both lead back to is to be cut as well (libtorch refuses to go through the same graph twice).
 */
export function cut(x: Tensor): Tensor {
  if (cuts === undefined || !recording() || !x.requiresGrad || x.isLeaf) return x;
  const behind = alias(x);
  const start = x.detach().setRequiresGrad();
  cuts.push({
    leaf: alias(start),
    resume: (gradient, retainGraph) => engine().backward([behind.handle], [gradient.handle], retainGraph),
    dispose() {
      behind.dispose();
      this.leaf.dispose();
    },
  });
  return start;
}

/** Called by backward(): goes on through the cuts that the gradient has reached, from the last to the first. */
export function resumeCuts(retainGraph: boolean): void {
  const list = cuts;
  if (list === undefined) return;
  for (let i = list.length - 1; i >= 0; i--) {
    const cut = list[i]!;
    const gradient = cut.leaf.grad;
    if (gradient === undefined) continue; // of another graph, whose turn may come
    cut.leaf.setGrad(undefined);
    cut.resume(gradient, retainGraph);
    gradient.dispose();
    if (retainGraph) continue;
    list.splice(i, 1);
    cut.dispose();
  }
}

/** The result without the graph that led to it, as a leaf that needs a gradient if that did. Frees `kept` on failure. */
function runDetached(fn: () => Tensor, kept: readonly Tensor[]): Tensor {
  try {
    const whole = tidy(fn);
    if (!whole.requiresGrad) return whole;
    const output = whole.detach().setRequiresGrad();
    whole.dispose();
    return output;
  } catch (error) {
    for (const x of kept) x.dispose();
    throw error;
  }
}

/** Another handle to the very same tensor, gradient and all, outside of every scope. */
function alias(x: Tensor): Tensor {
  return keep(x.to(x.dtype));
}

/** A leaf of the part's own graph that shares the memory of `x`. */
function startOf(x: Tensor): Tensor {
  const start = keep(x.detach());
  return x.requiresGrad ? start.setRequiresGrad() : start;
}

/** Adds the gradient of `from` to that of `to`, in the order in which libtorch would have summed them. */
function addGrad(to: Tensor, from: Tensor): void {
  const more = from.grad;
  if (more === undefined) return;
  const before = to.grad;
  const api = engine();
  const recordingBefore = api.setGradEnabled(false);
  const sum = before ? before.add(more) : more;
  api.setGradEnabled(recordingBefore);
  to.setGrad(sum);
  for (const x of new Set([before, more, sum])) x?.dispose();
}

interface Modes {
  random: Uint8Array;
  /** Dtype of autocast, -1 where it is off. */
  cast: number;
}

const DEVICE = 'cpu';

function currentModes(): Modes {
  const api = engine();
  const cast = api.setAutocast(DEVICE, -1);
  api.setAutocast(DEVICE, cast);
  return { random: defaultGenerator().getState(), cast };
}

/** Runs `fn` under autocast and with random numbers as they were, and puts both back. */
function inModes<T>({ random, cast }: Modes, fn: () => T): T {
  const api = engine();
  const now = defaultGenerator().getState();
  defaultGenerator().setState(random);
  const castNow = api.setAutocast(DEVICE, cast);
  api.autocastNesting(true);
  try {
    return fn();
  } finally {
    api.autocastNesting(false);
    api.setAutocast(DEVICE, castNow);
    defaultGenerator().setState(now);
  }
}
