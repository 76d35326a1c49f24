// Operators whose ATen signature is not what one wants to write: interpolation, losses, padding, selection with numbers,
// and the foreach kernels that work on lists of tensors in one call.
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { engine } from './engine.ts';
import { crossEntropyLoss, whereSelf } from './ops_generated.ts';
import { Tensor } from './tensor.ts';
import { handleOf, handles, operator } from './wrap.ts';

export interface ResizeOptions {
  alignCorners?: boolean | undefined;
  /** Widen the kernel when shrinking (bicubic a = -0.5 then, a = -0.75 without). */
  antialias?: boolean | undefined;
}

function resize(plain: string, antialiased: string) {
  return (
    x: Tensor,
    size: readonly [number, number],
    { alignCorners = false, antialias = false }: ResizeOptions = {},
  ): Tensor =>
    new Tensor(engine().call(operator(antialias ? antialiased : plain), handleOf(x), size, alignCorners) as number);
}

/** Bicubic resize of x [B, C, H, W] to size [h, w]. */
export const upsampleBicubic2d: (x: Tensor, size: readonly [number, number], options?: ResizeOptions) => Tensor =
  resize('aten::upsample_bicubic2d', 'aten::_upsample_bicubic2d_aa');
/** Bilinear resize of x [B, C, H, W] to size [h, w]. */
export const upsampleBilinear2d: (x: Tensor, size: readonly [number, number], options?: ResizeOptions) => Tensor =
  resize('aten::upsample_bilinear2d', 'aten::_upsample_bilinear2d_aa');

/** a where the condition holds, b elsewhere; numbers stand for 0-d tensors of the other operand's dtype. */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof a !== 'number' && typeof b !== 'number') return whereSelf(condition, a, b);
  const name =
    typeof a === 'number'
      ? typeof b === 'number'
        ? 'aten::where.Scalar'
        : 'aten::where.ScalarSelf'
      : 'aten::where.ScalarOther';
  const of = (v: Tensor | number) => (typeof v === 'number' ? v : handleOf(v));
  return new Tensor(engine().call(operator(name), handleOf(condition), of(a), of(b)) as number);
}

/** Einstein summation over the tensors, as torch.einsum. */
export function einsum(equation: string, tensors: readonly Tensor[]): Tensor {
  return new Tensor(engine().call(operator('aten::einsum'), equation, handles(tensors)) as number);
}

/** Pads the last dimensions: [left, right, top, bottom, ...]. */
export function pad(
  x: Tensor,
  pads: readonly number[],
  mode: 'constant' | 'reflect' | 'replicate' | 'circular' = 'constant',
  value?: number,
): Tensor {
  return new Tensor(engine().call(operator('aten::pad'), handleOf(x), pads, mode, value) as number);
}

export type Reduction = 'mean' | 'sum' | 'none';
const REDUCTIONS: Record<Reduction, number> = { none: 0, mean: 1, sum: 2 };

function reductionCode(reduction: Reduction): number {
  if (!Object.hasOwn(REDUCTIONS, reduction))
    throw new ArgumentError(expected('reduction', "'mean', 'sum' or 'none'", reduction));
  return REDUCTIONS[reduction];
}

/** Squared error. */
export function mseLoss(x: Tensor, y: Tensor, reduction: Reduction = 'mean'): Tensor {
  return new Tensor(
    engine().call(operator('aten::mse_loss'), handleOf(x), handleOf(y), reductionCode(reduction)) as number,
  );
}

/** Absolute error. */
export function l1Loss(x: Tensor, y: Tensor, reduction: Reduction = 'mean'): Tensor {
  return new Tensor(
    engine().call(operator('aten::l1_loss'), handleOf(x), handleOf(y), reductionCode(reduction)) as number,
  );
}

/** Cross-entropy of logits [B, C] against class indices [B] (i64). */
export function crossEntropy(logits: Tensor, target: Tensor, reduction: Reduction = 'mean'): Tensor {
  return crossEntropyLoss(logits, target, undefined, reductionCode(reduction));
}

const each = (name: string, ...args: unknown[]) => engine().call(operator(name), ...args);
const made = (result: unknown) => (result as number[]).map((h) => new Tensor(h));

/** One call for a whole list of tensors; in-place ones end in `_`. Without lists the same work costs a call per tensor. */
export const foreach = {
  /** self <- self + weight * (end - self) */
  lerp_: (self: readonly Tensor[], end: readonly Tensor[], weight: number) =>
    void each('aten::_foreach_lerp_.Scalar', handles(self), handles(end), weight),
  mul_: (self: readonly Tensor[], factor: number | Tensor) =>
    void (typeof factor === 'number'
      ? each('aten::_foreach_mul_.Scalar', handles(self), factor)
      : each('aten::_foreach_mul_.Tensor', handles(self), handleOf(factor))),
  add_: (self: readonly Tensor[], other: readonly Tensor[] | number, { alpha = 1 }: { alpha?: number } = {}) =>
    void (typeof other === 'number'
      ? each('aten::_foreach_add_.Scalar', handles(self), other)
      : each('aten::_foreach_add_.List', handles(self), handles(other), alpha)),
  sub: (self: readonly Tensor[], other: readonly Tensor[]): Tensor[] =>
    made(each('aten::_foreach_sub.List', handles(self), handles(other))),
  div_: (self: readonly Tensor[], other: readonly Tensor[]) =>
    void each('aten::_foreach_div_.List', handles(self), handles(other)),
  sqrt: (self: readonly Tensor[]): Tensor[] => made(each('aten::_foreach_sqrt', handles(self))),
  addcmul_: (self: readonly Tensor[], a: readonly Tensor[], b: readonly Tensor[], value: number) =>
    void each('aten::_foreach_addcmul_.Scalar', handles(self), handles(a), handles(b), value),
  addcdiv_: (self: readonly Tensor[], a: readonly Tensor[], b: readonly Tensor[], value: number) =>
    void each('aten::_foreach_addcdiv_.Scalar', handles(self), handles(a), handles(b), value),
  copy_: (self: readonly Tensor[], from: readonly Tensor[]) =>
    void each('aten::_foreach_copy_', handles(self), handles(from)),
  zero_: (self: readonly Tensor[]) => void each('aten::_foreach_zero_', handles(self)),
  /** The L2 norm of every tensor. */
  norm: (self: readonly Tensor[], ord = 2): Tensor[] => made(each('aten::_foreach_norm.Scalar', handles(self), ord)),
};

export interface FusedAdamwOptions {
  lr: number;
  beta1: number;
  beta2: number;
  weightDecay: number;
  eps: number;
  amsgrad?: boolean;
  maximize?: boolean;
}

/**
 * libtorch's fused AdamW over all parameters at once. `steps` are 0-d f32 tensors that count this step already.
 * ArgumentError when a gradient or moment is not of its parameter's shape, strides and dtype: the kernel would run beyond its memory.
 */
export function fusedAdamw_(
  params: readonly Tensor[],
  grads: readonly Tensor[],
  expAvgs: readonly Tensor[],
  expAvgSqs: readonly Tensor[],
  maxExpAvgSqs: readonly Tensor[],
  steps: readonly Tensor[],
  { lr, beta1, beta2, weightDecay, eps, amsgrad = false, maximize = false }: FusedAdamwOptions,
): void {
  const weights = handles(params);
  const like = (what: string, tensors: readonly Tensor[]) => {
    const list = handles(tensors);
    const at = engine().firstDifference(weights, list);
    if (at === -1) return list;
    const show = (t: Tensor | undefined) => (t ? `${t.dtype}[${t.shape.join(', ')}]` : 'nothing');
    throw new ArgumentError(
      `fusedAdamw_: expected ${what}[${at}] in the layout of its parameter, ${show(params[at])}, received ${show(tensors[at])}.`,
    );
  };
  if (steps.length !== params.length || steps.some((step) => step.dtype !== 'f32' || step.ndim !== 0)) {
    throw new ArgumentError(expected('fusedAdamw_', 'one 0-d f32 step for every parameter', steps));
  }
  each(
    'aten::_fused_adamw_',
    weights,
    like('grads', grads),
    like('expAvgs', expAvgs),
    like('expAvgSqs', expAvgSqs),
    amsgrad ? like('maxExpAvgSqs', maxExpAvgSqs) : handles(maxExpAvgSqs),
    handles(steps),
    lr,
    beta1,
    beta2,
    weightDecay,
    eps,
    amsgrad,
    maximize,
  );
}
