// What makes a tensor part of a module: a mark kept beside it, so that a parameter is an ordinary Tensor everywhere.
// Like torch.nn.Parameter and register_buffer, but a property holds the tensor and no registration call is needed.

import { keep, type Tensor } from '../tensor/index.ts';

/** How a module owns a tensor. Buffers that are not persistent stay out of state dicts. */
export type Mark = { readonly kind: 'parameter' } | { readonly kind: 'buffer'; readonly persistent: boolean };

/** A tensor that a module owns and that training changes. */
export type Parameter = Tensor;

const marks = new WeakMap<Tensor, Mark>();

/**
 * Marks `t` as a parameter and takes it over: it outlives every scope and is freed with its module.
 * `requiresGrad: false` gives one that is saved and averaged but not trained (a fixed position table, a frozen encoder).
 */
export function parameter(t: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}): Parameter {
  return mark(t.setRequiresGrad(requiresGrad), { kind: 'parameter' });
}

/** Marks `t` as a buffer: state that is moved and saved with the module but never trained. */
export function buffer(t: Tensor, { persistent = true }: { persistent?: boolean } = {}): Tensor {
  return mark(t, { kind: 'buffer', persistent });
}

/** The mark of a module's tensor; undefined for any other tensor. */
export function markOf(t: Tensor): Mark | undefined {
  return marks.get(t);
}

/** Gives `t` the mark of the tensor that it replaces. */
export function mark(t: Tensor, as: Mark): Tensor {
  marks.set(t, as);
  return keep(t);
}
