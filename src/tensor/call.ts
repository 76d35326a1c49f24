// Any dispatcher operator by name, for the few that have no typed wrapper: call('aten::name.overload', [args]).
import { engine } from './engine.ts';
import { Tensor } from './tensor.ts';
import { operator } from './wrap.ts';

/** Arguments in schema order; tensors, lists of tensors, numbers, strings, booleans, undefined for a default. Handles in the result stay numbers. */
export function callRaw(name: string, args: readonly unknown[]): unknown {
  return engine().call(operator(name), ...args.map(native));
}

/** As callRaw() for an operator with a single tensor result. */
export function call(name: string, args: readonly unknown[]): Tensor {
  return new Tensor(callRaw(name, args) as number);
}

/** As callRaw() for an operator with several tensor results (or a list). */
export function callList(name: string, args: readonly unknown[]): Tensor[] {
  return (callRaw(name, args) as number[]).map((h) => new Tensor(h));
}

/** True when this libtorch has the operator. */
export function hasOperator(name: string): boolean {
  const [base = name, overload = ''] = name.split('.');
  return engine().findOperator(base, overload) !== 0;
}

function native(value: unknown): unknown {
  if (value instanceof Tensor) return value.handle;
  if (Array.isArray(value)) return value.map(native);
  return value;
}
