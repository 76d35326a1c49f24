// "Gaussian Fourier" embedding of the time (reference: GaussianFourierEmbedding; spec 8.1).
// W is a parameter although the paper calls it fixed: the reference's trainer optimises it and its EMA, so checkpoints differ in it.

import { init, Linear, Module, type Parameter, parameter } from '../../nn/index.ts';
import { cat, empty, type Generator, silu, type Tensor } from '../../tensor/index.ts';

export class TimestepEmbedder extends Module {
  readonly W: Parameter; // [256], N(0, 1) at the start
  readonly mlp: { readonly 0: Linear; readonly 2: Linear };

  constructor({
    width,
    features = 256,
    generator,
  }: { width: number; features?: number; generator?: Generator | undefined }) {
    super();
    this.W = parameter(init.normal_(empty([features]), { generator }));
    this.mlp = { 0: new Linear(2 * features, width, { generator }), 2: new Linear(width, width, { generator }) };
  }

  /** t [B], raw in [0, 1] -> [B, D]: mlp([sin(2 pi t W) | cos(2 pi t W)]). */
  forward(t: Tensor): Tensor {
    const angles = t
      .unsqueeze(1)
      .mul(this.W)
      .mul(2 * Math.PI); // [B, 256]
    const features = cat([angles.sin(), angles.cos()], -1); // [B, 512]
    return this.mlp[2].forward(silu(this.mlp[0].forward(features)));
  }
}
