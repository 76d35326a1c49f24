// From native results to tensors and back: the generated wrappers need the class, and the class needs them; this file
// stands between, so that neither imports the other.
import type { Native } from '../binding/types.ts';
import { expected, show } from '../util/check.ts';
import { ArgumentError, EngineError } from '../util/errors.ts';
import { engine } from './engine.ts';
import type { Generator } from './random.ts';
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

/**
 * What crosses the boundary for a tensor: its handle. Anything else crosses as a text that shows it, so that the addon,
 * which knows the operator and the argument's name, can say so; a number would be taken for a handle.
 */
export function handleOf(tensor: Tensor): number {
  const handle: unknown = (tensor as Tensor | null | undefined)?.handle;
  return typeof handle === 'number' ? handle : (show(tensor) as unknown as number);
}

/** As handleOf(), undefined for an optional tensor that is not given. */
export function optionalHandle(tensor: Tensor | undefined): number | undefined {
  return tensor === undefined || tensor === null ? undefined : handleOf(tensor);
}

/** Handles of a list of tensors; an Int32Array crosses the boundary in one read. */
export function handles(tensors: readonly Tensor[]): Int32Array {
  if (!Array.isArray(tensors)) throw new ArgumentError(expected('tensors', 'an array of Tensors', tensors));
  const out = new Int32Array(tensors.length);
  for (let i = 0; i < tensors.length; i++) {
    const handle: unknown = tensors[i]?.handle;
    if (typeof handle !== 'number') throw new ArgumentError(expected(`tensors[${i}]`, 'a Tensor', tensors[i]));
    out[i] = handle;
  }
  return out;
}

/** Handles of a list with gaps. */
export function optionalHandles(tensors: readonly (Tensor | undefined)[]): (number | undefined)[] {
  if (!Array.isArray(tensors)) throw new ArgumentError(expected('tensors', 'an array of Tensors and gaps', tensors));
  return tensors.map(optionalHandle);
}

/** The number of a generator in the engine's table; 0, the default generator, when none is given. */
export function generatorId(generator: Generator | undefined): number {
  if (generator === undefined || generator === null) return 0;
  const id: unknown = generator.id;
  if (typeof id !== 'number') throw new ArgumentError(expected('generator', 'a Generator', generator));
  return id;
}

/** The number of an operator by `aten::name.overload`. Throws EngineError when this libtorch lacks it. */
export function operator(name: string): number {
  const [base = name, overload = ''] = name.split('.');
  const id = engine().findOperator(base, overload);
  if (id === 0) {
    throw new EngineError(
      `operator: expected one that this libtorch has, received '${name}'. Run \`rae doctor\` to see its version.`,
    );
  }
  return id;
}
