// Who frees a tensor. V8 knows nothing of tensor memory and runs no finalizer inside synchronous code, so every tensor
// belongs to the innermost tidy() that is open when it is made, and is freed with it. Outside of any scope a finalizer is
// the net: it frees tensors that were dropped, late but surely.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { engine, freeList } from './engine.ts';
import type { Tensor } from './tensor.ts';

const NONE: readonly Tensor[] = [];

let current: Tensor[] | undefined;

const net = new FinalizationRegistry<number>((handle) => engine().free(handle));

/** Called by the constructor of every tensor. */
export function adopt(tensor: Tensor): void {
  if (current === undefined) catchWithNet(tensor);
  else current.push(tensor);
}

function catchWithNet(tensor: Tensor): void {
  tensor.escaped = true;
  net.register(tensor, tensor.handle, tensor);
}

/** Called by dispose(): the net must not free the slot's next tenant. */
export function forget(tensor: Tensor): void {
  if (tensor.escaped) net.unregister(tensor);
}

/**
 * Runs `fn` and frees every tensor made inside it, also when it throws, except those returned (also inside plain
 * objects, arrays and Maps) and those keep()t. Returned tensors belong to the enclosing scope, or to the caller.
 * Refuses a callback that returns a promise: memory would be freed before the work is done.
 */
export function tidy<T>(fn: () => T): T {
  const outer = current;
  const mine: Tensor[] = [];
  current = mine;
  let returned: readonly Tensor[] = [];
  try {
    const result = fn();
    if (isThenable(result)) {
      Promise.resolve(result).catch(() => {});
      throw new ArgumentError(
        'tidy: expected a synchronous callback, received one that returns a promise. Await outside of tidy().',
      );
    }
    returned = tensorsIn(result);
    for (const tensor of returned) tensor.returned = true;
    return result;
  } finally {
    current = outer;
    sweep(mine, outer);
    for (const tensor of returned) tensor.returned = false;
  }
}

/** Takes a tensor out of every scope: its owner disposes it. Returns the tensor. */
export function keep<T extends Tensor>(tensor: T): T {
  if (typeof tensor !== 'object' || tensor === null || !isTensor(tensor))
    throw new ArgumentError(expected('keep', 'a Tensor', tensor));
  tensor.kept = true;
  return tensor;
}

/** Frees the tensors of a plain structure (a tensor, or arrays, Maps and plain objects of them). */
export function dispose(tree: unknown): void {
  for (const tensor of tensorsIn(tree)) tensor.dispose();
}

function sweep(mine: Tensor[], outer: Tensor[] | undefined): void {
  let n = 0;
  for (const tensor of mine) {
    const handle = tensor.handle;
    if (handle === 0) continue;
    if (tensor.kept || tensor.returned) {
      if (outer === undefined || tensor.kept) catchWithNet(tensor);
      else outer.push(tensor);
      continue;
    }
    tensor.handle = 0;
    freeList[n++] = handle;
    if (n === freeList.length) {
      engine().freeListed(n);
      n = 0;
    }
  }
  if (n > 0) engine().freeListed(n);
}

/** The tensors of a plain structure: arrays, Maps and plain objects, to any depth and also in a circle. */
function tensorsIn(tree: unknown): readonly Tensor[] {
  if (tree === null || typeof tree !== 'object') return NONE;
  if (isTensor(tree)) return [tree];
  const found: Tensor[] = [];
  const seen = new Set<object>();
  const waiting: unknown[] = [tree];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (value === null || typeof value !== 'object') continue;
    if (isTensor(value)) {
      found.push(value);
      continue;
    }
    if (seen.has(value)) continue;
    seen.add(value);
    if (Array.isArray(value) || value instanceof Map) {
      for (const item of value.values()) if (typeof item === 'object') waiting.push(item);
      continue;
    }
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) continue;
    for (const item of Object.values(value)) if (typeof item === 'object') waiting.push(item);
  }
  return found;
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function isTensor(value: object): value is Tensor {
  return 'handle' in value && 'dims' in value && 'returned' in value;
}
