// Who frees a tensor. V8 knows nothing of tensor memory and runs no finalizer inside synchronous code, so every tensor
// belongs to the innermost tidy() that is open when it is made, and is freed with it. Outside of any scope a finalizer is
// the net: it frees tensors that were dropped, late but surely.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { engine, freeList } from './engine.ts';
import type { Tensor } from './tensor.ts';

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
  let result: T;
  try {
    result = fn();
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new ArgumentError(
        expected('tidy', 'a synchronous callback', 'one that returns a promise', 'Await outside of tidy().'),
      );
    }
    markReturned(result, true);
  } catch (error) {
    current = outer;
    sweep(mine, outer);
    throw error;
  }
  current = outer;
  sweep(mine, outer);
  markReturned(result, false);
  return result;
}

/** Takes a tensor out of every scope: its owner disposes it. Returns the tensor. */
export function keep<T extends Tensor>(tensor: T): T {
  tensor.kept = true;
  return tensor;
}

/** Frees the tensors of a plain structure (a tensor, or arrays, Maps and plain objects of them). */
export function dispose(tree: unknown): void {
  visit(tree, (tensor) => tensor.dispose());
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

function markReturned(tree: unknown, on: boolean): void {
  visit(tree, (tensor) => {
    tensor.returned = on;
  });
}

function visit(tree: unknown, f: (tensor: Tensor) => void): void {
  if (tree === null || typeof tree !== 'object') return;
  if (isTensor(tree)) f(tree);
  else if (Array.isArray(tree)) for (const item of tree) visit(item, f);
  else if (tree instanceof Map) for (const item of tree.values()) visit(item, f);
  else {
    const prototype = Object.getPrototypeOf(tree);
    if (prototype === Object.prototype || prototype === null) for (const item of Object.values(tree)) visit(item, f);
  }
}

function isTensor(value: object): value is Tensor {
  return 'handle' in value && 'dims' in value && 'returned' in value;
}
