// Pre-norm transformer block of the ViT: x += ls1 * attn(norm1(x)); x += ls2 * mlp(norm2(x)). Keys as in timm.
// B batch, N tokens, D width, H heads, d head width.

import {
  attention,
  type InitOptions,
  LayerNorm,
  Linear,
  Module,
  mergeHeads,
  type Parameter,
  parameter,
} from '../../nn/index.ts';
import { canFuseForward, ones, type Tensor, vitBlock } from '../../tensor/index.ts';
import { ArgumentError } from '../../util/errors.ts';
import { Mlp } from './mlp.ts';
import { type Rotation, rotateHalves } from './patch-rope.ts';
import { SwiGLU } from './swiglu.ts';

/** `swiglu` is DINOv2 giant's: silu(first half) * second half. */
export type FeedForward = 'gelu' | 'gelu_pytorch_tanh' | 'swiglu';

export interface ViTBlockOptions extends InitOptions {
  width: number;
  heads: number;
  hidden: number;
  feedForward: FeedForward;
  layerScale: boolean;
  eps: number;
}

export class ViTBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly ls1: LayerScale | undefined;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp | SwiGLU;
  readonly ls2: LayerScale | undefined;
  readonly #gelu: 'exact' | 'tanh';

  constructor({ width, heads, hidden, feedForward, layerScale, eps, generator }: ViTBlockOptions) {
    super();
    this.norm1 = new LayerNorm(width, { eps });
    this.attn = new Attention({ width, heads, generator });
    this.ls1 = layerScale ? new LayerScale(width) : undefined;
    this.norm2 = new LayerNorm(width, { eps });
    this.mlp =
      feedForward === 'swiglu'
        ? new SwiGLU({ width, hidden, generator })
        : new Mlp({ width, hidden, activation: feedForward, generator });
    this.ls2 = layerScale ? new LayerScale(width) : undefined;
    this.#gelu = feedForward === 'gelu_pytorch_tanh' ? 'tanh' : 'exact';
  }

  /** `rotation`: where the tokens lie, when positions are rotary. */
  forward(x: Tensor, rotation?: Rotation): Tensor {
    const { norm1, attn, norm2, mlp } = this;
    if (rotation || !(mlp instanceof Mlp) || !canFuseForward(x, norm1.weight!)) return this.#composed(x, rotation);
    return vitBlock(x, {
      norms: [norm1, norm2].flatMap(weightAndBias),
      qkv: weightAndBias(attn.qkv),
      layers: [attn.proj, mlp.fc1, mlp.fc2].flatMap(weightAndBias),
      scales: this.ls1 && this.ls2 ? [this.ls1.gamma, this.ls2.gamma] : [],
      heads: attn.heads,
      eps: norm1.eps,
      gelu: this.#gelu,
    });
  }

  #composed(x: Tensor, rotation: Rotation | undefined): Tensor {
    const attended = this.attn.forward(this.norm1.forward(x), rotation); // [B, N, D]
    const y = x.add(this.ls1?.forward(attended) ?? attended);
    const fed = this.mlp.forward(this.norm2.forward(y)); // [B, N, D]
    return y.add(this.ls2?.forward(fed) ?? fed);
  }
}

/** As the fused operators take them. */
export const weightAndBias = ({ weight, bias }: LayerNorm | Linear): Tensor[] => [weight!, bias!];

/** Multi-head self-attention with one projection for queries, keys and values. */
class Attention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly heads: number;

  constructor({ width, heads, generator }: { width: number; heads: number } & InitOptions) {
    super();
    if (width % heads !== 0) {
      throw new ArgumentError(
        `ViT: expected a width divisible by the number of heads, received ${width} and ${heads}.`,
      );
    }
    this.qkv = new Linear(width, 3 * width, { generator });
    this.proj = new Linear(width, width, { generator });
    this.heads = heads;
  }

  forward(x: Tensor, rotation?: Rotation): Tensor {
    const [B, N, D] = x.dims(3);
    const split = this.qkv.forward(x).view([B, N, 3, this.heads, D / this.heads]); // [B, N, 3, H, d]
    const [q, k, v] = split.permute([2, 0, 3, 1, 4]).unbind(0) as [Tensor, Tensor, Tensor]; // each [B, H, N, d]
    const [turnedQ, turnedK] = rotation ? [rotateHalves(q, rotation), rotateHalves(k, rotation)] : [q, k];
    return this.proj.forward(mergeHeads(attention(turnedQ, turnedK, v))); // [B, N, D]
  }
}

/** Learned factor per channel on a residual branch (DINOv2). */
class LayerScale extends Module {
  readonly gamma: Parameter; // [D]

  constructor(width: number) {
    super();
    this.gamma = parameter(ones([width]));
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.gamma);
  }
}
