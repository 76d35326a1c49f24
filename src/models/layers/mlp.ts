// Two-layer feed-forward of the ViT, its non-linearity by name (exact GELU in DINOv2, MAE, DeiT; tanh GELU in SigLIP2).

import { type ActivationName, activation, type InitOptions, Linear, Module } from '../../nn/index.ts';
import type { Tensor } from '../../tensor/index.ts';

export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly activation: (x: Tensor) => Tensor;

  constructor(options: { width: number; hidden: number; activation?: ActivationName } & InitOptions) {
    super();
    const { width, hidden, generator } = options;
    this.fc1 = new Linear(width, hidden, { generator });
    this.fc2 = new Linear(hidden, width, { generator });
    this.activation = activation(options.activation ?? 'gelu');
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.activation(this.fc1.forward(x))); // [B, N, D]
  }
}
