// AdamW: decoupled weight decay (Loshchilov and Hutter), as torch.optim.AdamW computes it.
//   p <- p (1 - lr wd);  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
//   p <- p - lr / (1 - b1^n) * m / (sqrt(v) / sqrt(1 - b2^n) + eps)
// One kernel for all parameters, which clips and averages on the way: our own for float32 on the CPU, else libtorch's fused one where it
// has it and kernels of their own for the rest, else a few foreach kernels.

import { checkKeys, copyStateDict, type StateDict } from '../nn/index.ts';
import {
  adamwFused_,
  callRaw,
  canFuseAll,
  foreach,
  fusedAdamw_,
  hasOperator,
  keep,
  noGrad,
  type Tensor,
  tidy,
  zeros,
  zerosLike,
} from '../tensor/index.ts';
import { ArgumentError } from '../util/errors.ts';
import type { Ema } from './ema.ts';

export interface AdamWOptions {
  lr: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /** Default: whether libtorch has the fused kernel. */
  fused?: boolean;
}

export interface StepOptions {
  /** Counts the gradients so many times (clipScale); they are left as they are, or scaled in place where a kernel cannot. */
  scale?: number;
  /** Update number `n` of this average, done with the parameters in hand. */
  average?: { readonly ema: Ema; readonly n: number } | undefined;
}

interface State {
  readonly name: string;
  readonly param: Tensor;
  readonly expAvg: Tensor;
  readonly expAvgSq: Tensor;
  readonly step: Tensor; // f32, 0-d, on the parameter's device: updates made
}

export class AdamW {
  /** The rate of the next step; set it from a schedule. */
  lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly fused: boolean;
  readonly #states: readonly State[];

  /** `params` is what namedParameters() gives; the names become keys of the state dict. */
  constructor(
    params: Iterable<readonly [string, Tensor]>,
    { lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, fused = hasFused() }: AdamWOptions,
  ) {
    this.lr = lr;
    this.betas = betas;
    this.eps = eps;
    this.weightDecay = weightDecay;
    this.fused = fused;
    const valid = lr >= 0 && eps >= 0 && weightDecay >= 0 && betas.every((beta) => beta >= 0 && beta < 1);
    if (!valid) {
      throw new ArgumentError(
        `AdamW: expected lr, eps, weightDecay >= 0 and betas in [0, 1), received lr ${lr}, eps ${eps}, weightDecay ${weightDecay}, betas [${betas.join(', ')}].`,
      );
    }
    this.#states = [...params].map(([name, param]) => ({
      name,
      param: rowMajor(name, param),
      expAvg: keep(noGrad(() => zerosLike(param))),
      expAvgSq: keep(noGrad(() => zerosLike(param))),
      step: keep(zeros([], { dtype: 'f32', device: param.device })),
    }));
    if (this.#states.length === 0) {
      throw new ArgumentError('AdamW: expected at least one parameter, received none. Are all of them frozen?');
    }
  }

  /** Updates every parameter that has a gradient; the others, and their step counts, stay as they are. */
  step({ scale = 1, average }: StepOptions = {}): void {
    noGrad(() =>
      tidy(() => {
        const averaged: Tensor[] = [];
        for (const group of groups(this.#states)) {
          if (this.fused && canFuseAll(group.params)) {
            this.#onePass(group, scale, average, averaged);
            continue;
          }
          if (scale !== 1) foreach.mul_(group.grads, scale);
          foreach.add_(group.steps, 1);
          if (this.fused) this.#fused(group);
          else this.#foreach(group);
        }
        average?.ema.update(average.n, { except: new Set(averaged) });
      }),
    );
  }

  /** Drops all gradients. */
  zeroGrad(): void {
    for (const { param } of this.#states) param.setGrad(undefined);
  }

  /** `exp_avg.<name>`, `exp_avg_sq.<name>` and `step.<name>`: the optimiser's own tensors, borrowed. */
  stateDict(): StateDict {
    const state: StateDict = new Map();
    for (const { name, expAvg } of this.#states) state.set(`exp_avg.${name}`, expAvg);
    for (const { name, expAvgSq } of this.#states) state.set(`exp_avg_sq.${name}`, expAvgSq);
    for (const { name, step } of this.#states) state.set(`step.${name}`, step);
    return state;
  }

  /** @throws WeightsError unless the keys and shapes are those of stateDict() */
  loadStateDict(state: ReadonlyMap<string, Tensor>): void {
    const own = this.stateDict();
    checkKeys('AdamW.loadStateDict', own, state, { nextStep: 'Is it the optimiser state of this model?' });
    copyStateDict(own, state);
  }

  /** Frees the moments; the parameters stay. */
  dispose(): void {
    for (const tensor of this.stateDict().values()) tensor.dispose();
  }

  /** Adds to `averaged` the parameters whose average it moved. */
  #onePass(group: Group, scale: number, average: StepOptions['average'], averaged: Tensor[]): void {
    const { lr, betas, weightDecay, eps } = this;
    const shadows = average?.ema.shadowsOf(group.params);
    if (shadows) averaged.push(...group.params);
    const decay = shadows ? average!.ema.decayAt(average!.n) : 1;
    adamwFused_({ ...group, averages: shadows ?? [] }, { lr, betas, weightDecay, eps, scale, decay });
  }

  #fused({ params, grads, expAvgs, expAvgSqs, steps }: Group): void {
    const [beta1, beta2] = this.betas;
    const { lr, weightDecay, eps } = this;
    fusedAdamw_(params, grads, expAvgs, expAvgSqs, [], steps, {
      lr,
      beta1,
      beta2,
      weightDecay,
      eps,
    });
  }

  #foreach({ params, grads, expAvgs, expAvgSqs, steps }: Group): void {
    const [beta1, beta2] = this.betas;
    if (this.weightDecay !== 0) foreach.mul_(params, 1 - this.lr * this.weightDecay);
    foreach.lerp_(expAvgs, grads, 1 - beta1);
    foreach.mul_(expAvgSqs, beta2);
    foreach.addcmul_(expAvgSqs, grads, grads, 1 - beta2);
    const counts = steps.map((step) => step.item());
    const denominators = foreach.sqrt(expAvgSqs);
    const corrections = counts.map((n) => Math.sqrt(1 - beta2 ** n));
    callRaw('aten::_foreach_div_.ScalarList', [denominators, corrections]);
    foreach.add_(denominators, this.eps);
    const rates = counts.map((n) => -this.lr / (1 - beta1 ** n));
    callRaw('aten::_foreach_addcdiv_.ScalarList', [params, expAvgs, denominators, rates]);
  }
}

/** Parameters of one device and dtype that have gradients, with their state: what one kernel call takes. */
interface Group {
  readonly params: Tensor[];
  readonly grads: Tensor[];
  readonly expAvgs: Tensor[];
  readonly expAvgSqs: Tensor[];
  readonly steps: Tensor[];
}

function groups(states: readonly State[]): Iterable<Group> {
  const found = new Map<string, Group>();
  for (const { param, expAvg, expAvgSq, step } of states) {
    const { grad } = param;
    if (!grad) continue;
    const kind = `${param.device} ${param.dtype}`;
    const group = found.get(kind) ?? { params: [], grads: [], expAvgs: [], expAvgSqs: [], steps: [] };
    found.set(kind, group);
    group.params.push(param);
    group.grads.push(grad.contiguous());
    group.expAvgs.push(expAvg);
    group.expAvgSqs.push(expAvgSq);
    group.steps.push(step);
  }
  return found.values();
}

/** The fused kernel walks memory, so a parameter that is a transposed view would be updated in the wrong places. */
function rowMajor(name: string, param: Tensor): Tensor {
  if (tidy(() => noGrad(() => param.contiguous().sharesMemory(param)))) return param;
  throw new ArgumentError(
    `AdamW: expected parameter '${name}' in row-major memory, received a transposed view. Make the parameter from its contiguous().`,
  );
}

function hasFused(): boolean {
  return hasOperator('aten::_fused_adamw_');
}
