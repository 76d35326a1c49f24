// The output layer of both stage-2 models: modulated norm, then a linear layer to the values of a patch; zero at the start (DiT).

import { init, Linear, Module } from '../../nn/index.ts';
import type { Generator, Tensor } from '../../tensor/index.ts';
import { AdaLn } from './ada-ln.ts';
import { blockNorm, modulate, type Norm } from './norm.ts';

export class FinalLayer extends Module {
  readonly norm_final: Norm;
  readonly linear: Linear;
  readonly adaLN_modulation: AdaLn;

  constructor(options: { width: number; outputs: number; useRmsnorm: boolean; generator?: Generator | undefined }) {
    super();
    const { width, outputs, useRmsnorm, generator } = options;
    this.norm_final = blockNorm(width, useRmsnorm);
    this.linear = new Linear(width, outputs, { generator });
    this.adaLN_modulation = new AdaLn({ width, chunks: 2, generator });
    init.zeros_(this.linear.weight);
    init.zeros_(this.linear.bias!);
  }

  /** x [B, N, D], activated conditioning [B, M, D] -> [B, N, outputs]. */
  forward(x: Tensor, activated: Tensor): Tensor {
    const [shift, scale] = this.adaLN_modulation.forward(activated, x.size(1)) as [Tensor, Tensor]; // each [B, M, D]
    return this.linear.forward(modulate(this.norm_final, x, scale, shift));
  }
}
