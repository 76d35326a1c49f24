// Gradients: the mode, backward into .grad, gradients of given tensors, and autocast.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { type Dtype, dtypeCode, dtypeName } from './dtype.ts';
import { engine } from './engine.ts';
import { resumeCuts } from './recompute.ts';
import { Tensor } from './tensor.ts';
import { handleOf, handles } from './wrap.ts';

/** Runs `fn` without recording for backward. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode(false, fn);
}

/** Records for backward again inside noGrad(). */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode(true, fn);
}

function withGradMode<T>(on: boolean, fn: () => T): T {
  const api = engine();
  const before = api.setGradEnabled(on);
  try {
    return synchronous(on ? 'enableGrad' : 'noGrad', fn());
  } finally {
    api.setGradEnabled(before);
  }
}

export interface BackwardOptions {
  /** Gradient of the output; 1 for a scalar. */
  gradient?: Tensor | undefined;
  retainGraph?: boolean | undefined;
}

/** Adds the gradients of `output` to .grad of every leaf that requires one. */
export function backward(output: Tensor, { gradient, retainGraph = false }: BackwardOptions = {}): void {
  engine().backward([handleOf(output)], gradient && [handleOf(gradient)], retainGraph);
  resumeCuts(retainGraph);
}

export interface GradOptions {
  gradOutputs?: readonly Tensor[] | undefined;
  retainGraph?: boolean | undefined;
  createGraph?: boolean | undefined;
}

/** Gradients of `outputs` with respect to `inputs`, without touching .grad. Throws NativeError for an input that was not used. */
export function grad(outputs: readonly Tensor[], inputs: readonly Tensor[], options: GradOptions = {}): Tensor[] {
  return gradHandles(outputs, inputs, options, false).map((h) => new Tensor(h));
}

/** As grad(), with undefined for inputs that were not used. */
export function gradAllowUnused(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | undefined)[] {
  return gradHandles(outputs, inputs, options, true).map((h) => (h === 0 ? undefined : new Tensor(h)));
}

function gradHandles(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  { gradOutputs, retainGraph, createGraph = false }: GradOptions,
  allowUnused: boolean,
): number[] {
  return engine().grad(
    handles(outputs),
    handles(inputs),
    gradOutputs && handles(gradOutputs),
    retainGraph ?? createGraph,
    createGraph,
    allowUnused,
  );
}

export interface AutocastOptions {
  dtype?: Dtype | undefined;
  device?: 'cpu' | 'cuda' | undefined;
  enabled?: boolean | undefined;
}

/** The dtype of the autocast() that is open for the CPU. */
export function autocastDtype(): Dtype | undefined {
  const api = engine();
  const code = api.setAutocast('cpu', -1);
  if (code < 0) return undefined;
  api.setAutocast('cpu', code);
  return dtypeName(code);
}

/** Runs `fn` with matrix products in a shorter dtype (bf16 unless named), as torch.autocast does. */
export function autocast<T>({ dtype = 'bf16', device = 'cpu', enabled = true }: AutocastOptions, fn: () => T): T {
  const api = engine();
  if (dtype !== 'bf16' && dtype !== 'f16')
    throw new ArgumentError(expected('autocast', "dtype 'bf16' or 'f16'", dtype, 'Leave autocast out for f32.'));
  const before = api.setAutocast(device, enabled ? dtypeCode(dtype) : -1);
  api.autocastNesting(true);
  try {
    return synchronous('autocast', fn());
  } finally {
    api.autocastNesting(false);
    api.setAutocast(device, before);
  }
}

/** These modes belong to the thread: after an `await` inside, other code would have run in them. */
function synchronous<T>(where: string, result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => {});
  throw new ArgumentError(
    `${where}: expected a synchronous callback, received one that returns a promise. Await outside of ${where}().`,
  );
}
