// The gated feed-forward of the stage-2 transformers (reference: LightningDiT; spec 8.1).

import { Linear, Module } from '../../nn/index.ts';
import { type Generator, silu, type Tensor } from '../../tensor/index.ts';

export interface SwiGLUOptions {
  width: number;
  hidden: number;
  generator?: Generator | undefined;
}

/** w3(silu(a) * b) with [a, b] = w12(x). Both layers have biases. */
export class SwiGLU extends Module {
  readonly w12: Linear;
  readonly w3: Linear;

  constructor({ width, hidden, generator }: SwiGLUOptions) {
    super();
    this.w12 = new Linear(width, 2 * hidden, { generator });
    this.w3 = new Linear(hidden, width, { generator });
  }

  forward(x: Tensor): Tensor {
    const [a, b] = this.w12.forward(x).chunk(2, -1) as [Tensor, Tensor]; // each [B, N, hidden]
    return this.w3.forward(silu(a).mul(b)); // [B, N, D]
  }
}

/** Hidden width of the SwiGLU that replaces an MLP of width `mlpRatio * width`: floor(2/3 * floor(mlpRatio * width)), not rounded further. */
export function swigluHidden(width: number, mlpRatio: number): number {
  return Math.floor((2 / 3) * Math.floor(width * mlpRatio));
}
