// The transformer block of both stage-2 models: adaLN-modulated attention and feed-forward, each gated (DiT; reference: LightningDiTBlock).

import { Module, RMSNorm } from '../../nn/index.ts';
import { addcmul, canFuse, ditBlock, type Generator, recomputed, type Tensor, tidy } from '../../tensor/index.ts';
import { AdaLn } from './ada-ln.ts';
import { DitAttention } from './dit-attention.ts';
import { Mlp } from './mlp.ts';
import { blockNorm, modulate, type Norm } from './norm.ts';
import type { Rope2d } from './rope.ts';
import { SwiGLU, swigluHidden } from './swiglu.ts';

// Shapes: B batch, N tokens, M 1 or N (conditioning rows), D width.

/** What both stage-2 models may vary in their blocks; the names of the reference's configuration in camelCase. */
export interface BlockOptions {
  mlpRatio?: number;
  useQknorm?: boolean;
  /** SwiGLU instead of an MLP with tanh GELU. */
  useSwiglu?: boolean;
  /** RMSNorm with weights instead of LayerNorm without. */
  useRmsnorm?: boolean;
  /** Modulation without shifts, so four chunks instead of six. Differs from the reference, which raises: it modulates with `None`. */
  woShift?: boolean;
}

export interface DitBlockOptions extends BlockOptions {
  width: number;
  heads: number;
  generator?: Generator | undefined;
}

export class DitBlock extends Module {
  readonly norm1: Norm;
  readonly attn: DitAttention;
  readonly norm2: Norm;
  readonly mlp: SwiGLU | Mlp;
  readonly adaLN_modulation: AdaLn;
  /** Its usual form, for which there is one operator. */
  readonly #usual: boolean;

  constructor(options: DitBlockOptions) {
    super();
    const { width, heads, generator, mlpRatio = 4, useQknorm = false, useSwiglu = true, useRmsnorm = true } = options;
    const qkNorm = useQknorm ? (useRmsnorm ? 'rms' : 'layer') : undefined;
    this.norm1 = blockNorm(width, useRmsnorm);
    this.attn = new DitAttention({ width, heads, qkNorm, generator });
    this.norm2 = blockNorm(width, useRmsnorm);
    this.mlp = useSwiglu
      ? new SwiGLU({ width, hidden: swigluHidden(width, mlpRatio), generator })
      : new Mlp({ width, hidden: Math.floor(width * mlpRatio), activation: 'gelu_pytorch_tanh', generator });
    this.adaLN_modulation = new AdaLn({ width, chunks: options.woShift ? 4 : 6, generator });
    this.#usual = useSwiglu && useRmsnorm && !useQknorm && !options.woShift;
  }

  /** x [B, N, D], activated conditioning [B, M, D], positions of the grid -> [B, N, D]. Frees what it made, for the caller's x lives on. */
  forward(x: Tensor, activated: Tensor, rope?: Rope2d): Tensor {
    return this.#fused(x, activated, rope) ?? this.#composed(x, activated, rope?.rotation());
  }

  #fused(x: Tensor, activated: Tensor, rope: Rope2d | undefined): Tensor | undefined {
    const { norm1, attn, norm2, mlp } = this;
    const modulation = this.adaLN_modulation[1];
    const rows = activated.size(1);
    if (!this.#usual || !(norm1 instanceof RMSNorm && norm2 instanceof RMSNorm && mlp instanceof SwiGLU)) return;
    if (!(rows === 1 || rows === x.size(1)) || !canFuse(x, norm1.weight)) return;
    const layers = [norm1, attn.qkv, attn.proj, norm2, mlp.w12, mlp.w3, modulation];
    const weights = layers.flatMap((layer) =>
      layer instanceof RMSNorm ? [layer.weight] : [layer.weight, layer.bias!],
    );
    const angles = rope && ([rope.freqs_cos, rope.freqs_sin] as const);
    return ditBlock(x, activated, { weights, heads: attn.heads, eps: norm1.eps, angles });
  }

  #composed(x: Tensor, activated: Tensor, rotation: Tensor | undefined): Tensor {
    return tidy(() => {
      const modulation = this.adaLN_modulation.forward(activated, x.size(1)); // each [B, M, D]
      const [shift1, scale1, gate1, shift2, scale2, gate2] =
        modulation.length === 4 ? withoutShifts(modulation) : modulation;
      const attended = tidy(() => this.attn.forward(modulate(this.norm1, x, scale1!, shift1), rotation));
      const between = addcmul(x, gate1!, attended);
      const fed = tidy(() => this.mlp.forward(modulate(this.norm2, between, scale2!, shift2)));
      return addcmul(between, gate2!, fed);
    });
  }
}

/** Order of the four chunks: scale, gate for attention, then for the feed-forward. */
function withoutShifts([scale1, gate1, scale2, gate2]: Tensor[]): (Tensor | undefined)[] {
  return [undefined, scale1, gate1, undefined, scale2, gate2];
}

/**
 * The blocks one after another, each result freed as soon as the next exists (libtorch keeps what backward needs). Within recomputing() a
 * block keeps its input alone: `x` and `activated` are then to be cut() by the model.
 */
export function runBlocks(blocks: readonly DitBlock[], x: Tensor, activated: Tensor, rope?: Rope2d): Tensor {
  let h = x;
  for (const block of blocks) {
    const next = recomputed([h, activated], (...inputs) => block.forward(...inputs, rope));
    if (h !== x) h.dispose();
    h = next;
  }
  return h; // [B, N, D]
}
