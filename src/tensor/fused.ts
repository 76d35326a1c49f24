// Operators of our own (native/), each with its backward: several of libtorch's in fewer passes over memory. They take float32 on the
// CPU, under autocast too; who calls one asks canFuse() first and composes libtorch's operators where it says no.
import { engine, recording } from './engine.ts';
import { autocastDtype } from './grad.ts';
import { Tensor } from './tensor.ts';
import { handleOf, handles, operator, optionalHandle } from './wrap.ts';

let on = process.env.RAE_FUSED !== '0'; // 0: libtorch's operators alone, to compare with

/** Runs `fn` with fused operators switched on or off. */
export function withFused<T>(enabled: boolean, fn: () => T): T {
  const before = on;
  on = enabled;
  try {
    return fn();
  } finally {
    on = before;
  }
}

/** Whether fused operators are switched on and work on all of `tensors` (updates of parameters). */
export function canFuseAll(tensors: readonly Tensor[]): boolean {
  return on && tensors.every(({ dtype, device }) => dtype === 'f32' && device === 'cpu');
}

/** Whether fused operators take `x` beside weights such as `weight`. */
export function canFuse(x: Tensor, weight: Tensor): boolean {
  if (!on || weight.dtype !== 'f32' || x.device !== 'cpu' || weight.device !== 'cpu') return false;
  const inside = autocastDtype();
  return x.dtype === 'f32' ? inside !== 'f16' : x.dtype === 'bf16' && inside === 'bf16';
}

/** Euclidean norm over all gradients together (f32, 0-d), in one pass. */
export function gradNormFused(grads: readonly Tensor[]): Tensor {
  return new Tensor(engine().call(operator('rae::grad_norm'), handles(grads)) as number);
}

export interface AdamWUpdate {
  readonly params: readonly Tensor[];
  readonly grads: readonly Tensor[];
  readonly expAvgs: readonly Tensor[];
  readonly expAvgSqs: readonly Tensor[];
  readonly steps: readonly Tensor[];
  /** Moving averages of the parameters, or none. */
  readonly averages: readonly Tensor[];
}

export interface AdamWRates {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  readonly eps: number;
  /** The gradients count so many times; they are not changed. */
  readonly scale: number;
  /** Of the averages. */
  readonly decay: number;
}

/** One AdamW update of all parameters and their averages, in one pass: src/optim/adamw.ts. */
export function adamwFused_(tensors: AdamWUpdate, { lr, betas, weightDecay, eps, scale, decay }: AdamWRates): void {
  const { params, grads, expAvgs, expAvgSqs, steps, averages } = tensors;
  const lists = [params, grads, expAvgs, expAvgSqs, steps, averages].map(handles);
  engine().call(operator('rae::adamw_'), ...lists, lr, ...betas, weightDecay, eps, scale, decay);
}

export interface DitBlockWeights {
  /** norm1, qkv, proj, norm2, w12, w3, modulation: weights, after each but the norms its bias. */
  readonly weights: readonly Tensor[];
  readonly heads: number;
  readonly eps: number;
  /** cos and sin of every token's angles, [N, d] each. */
  readonly angles?: readonly [cosine: Tensor, sine: Tensor] | undefined;
}

/** A DiT block (src/models/layers/dit-block.ts): x [B, N, D], activated condition [B, 1 or N, C] -> [B, N, D]. No second derivative. */
export function ditBlock(x: Tensor, condition: Tensor, { weights, heads, eps, angles }: DitBlockWeights): Tensor {
  const [cosine, sine] = angles ?? [];
  const h = engine().call(
    operator('rae::dit_block'),
    handleOf(x),
    handleOf(condition),
    optionalHandle(cosine),
    optionalHandle(sine),
    handles(weights),
    heads,
    eps,
  );
  return new Tensor(h as number);
}

export interface VitBlockWeights {
  /** Weight and bias of both norms. */
  readonly norms: readonly Tensor[];
  /** Weight and bias of q, k and v in one, or of each. */
  readonly qkv: readonly Tensor[];
  /** Weight and bias of the projection after attention, and of both layers of the feed-forward. */
  readonly layers: readonly Tensor[];
  /** Factors of the two branches, or none. */
  readonly scales?: readonly Tensor[];
  readonly heads: number;
  readonly eps: number;
  readonly gelu: 'exact' | 'tanh';
}

/** A ViT block (src/models/layers/vit-block.ts, src/models/decoder.ts) in inference: x [B, N, D] in float32 -> [B, N, D]. No derivative. */
export function vitBlock(x: Tensor, { norms, qkv, layers, scales = [], heads, eps, gelu }: VitBlockWeights): Tensor {
  const lists = [norms, qkv, layers, scales].map(handles);
  return new Tensor(
    engine().call(operator('rae::vit_block'), handleOf(x), ...lists, heads, eps, gelu === 'tanh') as number,
  );
}

/** Whether vitBlock takes `x` beside a block whose first norm has this weight: in float32, and nobody asks for gradients. */
export function canFuseForward(x: Tensor, weight: Tensor): boolean {
  return x.dtype === 'f32' && canFuse(x, weight) && !recording();
}
