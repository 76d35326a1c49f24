// Module: a class whose properties are its parameters, buffers and children, so that a checkpoint key is a property path.
// In the manner of torch.nn.Module, by reflection instead of registration. Arrays and plain objects are lists of children
// (`blocks.0.attn.qkv.weight`, `mlp.2.bias`); undefined has no keys; what must not be found lies in a #private field.
// Order is PyTorch's: at every level a module's own parameters, then its buffers, then its children, each as declared.

import { type Device, type Dtype, dispose, isFloating, noGrad, Tensor } from '../tensor/index.ts';
import { ArgumentError } from '../util/errors.ts';
import { type Mark, mark, markOf } from './parameter.ts';
import { checkKeys, copyStateDict, type KeyReport, type StateDict } from './state-dict.ts';

/** Where a module's tensor hangs: `holder[property]`, reached by `path` from the module asked. */
export interface Slot {
  readonly path: string;
  readonly holder: Record<string, unknown>;
  readonly property: string;
  readonly tensor: Tensor;
  readonly mark: Mark;
}

export interface LoadOptions {
  /** Missing and unexpected keys are errors (mis-shaped ones always are). */
  strict?: boolean;
  /** Take the given tensors over, with their dtype, instead of copying: for memory-mapped inference. */
  assign?: boolean;
}

export interface MoveOptions {
  dtype?: Dtype | undefined;
  device?: Device | undefined;
  where?: ((slot: Slot) => boolean) | undefined;
}

export class Module {
  /** False while evaluating; layers that behave differently in training (noise, label dropout) read it. */
  training = true;

  /** Trainable and frozen parameters by property path; a tensor that hangs at two places is named once. */
  namedParameters(): [string, Tensor][] {
    return unique(slotsOf(this).filter((slot) => slot.mark.kind === 'parameter'));
  }

  parameters(): Tensor[] {
    return this.namedParameters().map(([, tensor]) => tensor);
  }

  /** Buffers by property path, those outside the state dict included. */
  namedBuffers(): [string, Tensor][] {
    return unique(slotsOf(this).filter((slot) => slot.mark.kind === 'buffer'));
  }

  /** How many numbers the parameters hold. */
  numParameters(): number {
    return this.parameters().reduce((sum, { numel }) => sum + numel, 0);
  }

  /** This module and all below it, by property path ('' is this one). */
  namedModules(): [string, Module][] {
    const found: [string, Module][] = [];
    walk(this, '', [], { module: (path, module) => found.push([path, module]) });
    return found;
  }

  /** Parameters and persistent buffers: the module's own tensors, borrowed, not copies. */
  stateDict(): StateDict {
    return new Map(persistent(slotsOf(this)).map(({ path, tensor }) => [path, tensor]));
  }

  /**
   * Copies `state` into the module (dtype and device converted), or nothing at all when it does not fit.
   * @throws WeightsError that lists missing, unexpected and mis-shaped keys
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, { strict = true, assign = false }: LoadOptions = {}): KeyReport {
    const wanted = this.stateDict();
    const report = checkKeys(`${this.constructor.name}.loadStateDict`, wanted, state, { strict });
    if (!assign) {
      copyStateDict(wanted, state);
      return report;
    }
    const slots = persistent(slotsOf(this)).filter(({ path, tensor }) => state.has(path) && state.get(path) !== tensor);
    const trained = slots.map(({ tensor }) => tensor.requiresGrad);
    for (const [i, slot] of slots.entries()) replace(slot, state.get(slot.path)!, trained[i]!);
    dispose(slots.map(({ tensor }) => tensor));
    return report;
  }

  train(on = true): this {
    for (const [, module] of this.namedModules()) module.training = on;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Freezes or unfreezes every parameter. */
  requiresGrad_(on = true): this {
    for (const p of this.parameters()) p.setRequiresGrad(on);
    return this;
  }

  /**
   * Moves all tensors (those of `where`) to a device, and floating-point ones to a dtype. Tensors are replaced, not changed in
   * place: make optimisers and averages afterwards.
   */
  to({ dtype, device, where }: MoveOptions): this {
    const moved = new Map<Tensor, Tensor>(); // so that a tensor at two places stays one
    for (const slot of slotsOf(this)) {
      if (where && !where(slot)) continue;
      const from = slot.tensor;
      const done = moved.get(from);
      if (done) {
        slot.holder[slot.property] = done;
        continue;
      }
      const target = { dtype: dtype && isFloating(from.dtype) ? dtype : from.dtype, device: device ?? from.device };
      if (target.dtype === from.dtype && target.device === from.device) continue;
      const to = noGrad(() => from.to(target));
      replace(slot, to, from.requiresGrad);
      moved.set(from, to);
      from.dispose();
    }
    return this;
  }

  /** Frees every parameter and buffer. The module is of no use afterwards. */
  dispose(): void {
    dispose([...new Set(slotsOf(this).map(({ tensor }) => tensor))]);
  }
}

/** Every marked tensor below `module`, in the order of state dicts. */
export function slotsOf(module: Module): Slot[] {
  const slots: Slot[] = [];
  walk(module, '', [], { slot: (slot) => slots.push(slot) });
  return slots;
}

interface Visitor {
  slot?: (slot: Slot) => void;
  module?: (path: string, module: Module) => void;
}

function walk(holder: object, prefix: string, above: readonly object[], visit: Visitor): void {
  if (above.includes(holder)) {
    throw new ArgumentError(
      `Module: expected a tree of modules, received a cycle at '${prefix.slice(0, -1)}'. Keep the reference back in a #private field.`,
    );
  }
  if (holder instanceof Module) visit.module?.(prefix.slice(0, -1), holder);
  const buffers: Slot[] = [];
  const children: [string, object][] = [];
  for (const [property, value] of Object.entries(holder)) {
    const path = prefix + property;
    if (value instanceof Tensor) {
      const as = markOf(value);
      if (!as || !visit.slot) continue;
      const slot = { path, holder: holder as Record<string, unknown>, property, tensor: value, mark: as };
      if (as.kind === 'parameter') visit.slot(slot);
      else buffers.push(slot);
    } else if (isChild(value)) {
      children.push([path, value]);
    }
  }
  for (const slot of buffers) visit.slot?.(slot);
  for (const [path, child] of children) walk(child, `${path}.`, [...above, holder], visit);
}

function isChild(value: unknown): value is object {
  if (value instanceof Module || Array.isArray(value)) return true;
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function persistent(slots: readonly Slot[]): Slot[] {
  return slots.filter(({ mark }) => mark.kind === 'parameter' || mark.persistent);
}

function unique(slots: readonly Slot[]): [string, Tensor][] {
  const named = new Map<Tensor, string>();
  for (const { path, tensor } of slots) if (!named.has(tensor)) named.set(tensor, path);
  return [...named].map(([tensor, path]) => [path, tensor]);
}

/** Puts `to` where the slot's tensor was, with its mark. */
function replace(slot: Slot, to: Tensor, requiresGrad: boolean): void {
  if (requiresGrad && isFloating(to.dtype)) to.setRequiresGrad(true);
  slot.holder[slot.property] = mark(to, slot.mark);
}
