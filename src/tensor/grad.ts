// Gradients: the mode, backward into .grad, gradients of given tensors, and autocast.
import { type Dtype, dtypeCode } from './dtype.ts';
import { engine } from './engine.ts';
import { Tensor } from './tensor.ts';

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
    return fn();
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
  engine().backward([output.handle], gradient && [gradient.handle], retainGraph);
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
  const of = (list: readonly Tensor[]) => list.map((t) => t.handle);
  return engine().grad(
    of(outputs),
    of(inputs),
    gradOutputs && of(gradOutputs),
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

/** Runs `fn` with matrix products in a shorter dtype (bf16 unless named), as torch.autocast does. */
export function autocast<T>({ dtype = 'bf16', device = 'cpu', enabled = true }: AutocastOptions, fn: () => T): T {
  const api = engine();
  const before = api.setAutocast(device, enabled, dtypeCode(dtype));
  api.autocastNesting(true);
  try {
    return fn();
  } finally {
    api.autocastNesting(false);
    api.setAutocast(device, before, dtypeCode(dtype));
  }
}
