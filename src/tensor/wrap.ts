// From native results to tensors and back: the generated wrappers need the class, and the class needs them; this file
// stands between, so that neither imports the other.
import type { Native } from '../binding/types.ts';
import { engine } from './engine.ts';
import type { Tensor } from './tensor.ts';

let make: (handle: number) => Tensor;

/** Called once by tensor.ts. */
export function setTensorFactory(factory: (handle: number) => Tensor): void {
  make = factory;
}

/** A single tensor result. */
export function wrap(result: Native): Tensor {
  return make(result as number);
}

/** A result of several tensors. */
export function wrapList(result: Native): Tensor[] {
  return (result as number[]).map(make);
}

/** Handles of a list of tensors; an Int32Array crosses the boundary in one read. */
export function handles(tensors: readonly Tensor[]): Int32Array {
  const out = new Int32Array(tensors.length);
  for (let i = 0; i < tensors.length; i++) out[i] = tensors[i]!.handle;
  return out;
}

/** Handles of a list with gaps. */
export function optionalHandles(tensors: readonly (Tensor | undefined)[]): (number | undefined)[] {
  return tensors.map((t) => t?.handle);
}

/** The number of an operator by `aten::name.overload`. Throws EngineError-like ArgumentError when this libtorch lacks it. */
export function operator(name: string): number {
  const [base = name, overload = ''] = name.split('.');
  const id = engine().findOperator(base, overload);
  if (id === 0)
    throw new Error(`operator ${name}: this libtorch does not have it. Run \`rae doctor\` to see its version.`);
  return id;
}
