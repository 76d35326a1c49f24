// Layer normalisation over the last axis: (x - mean) / sqrt(var + eps) * weight + bias (torch.nn.LayerNorm).

import { empty, layerNorm, type Tensor } from '../tensor/index.ts';
import { ones_, zeros_ } from './init.ts';
import { Module } from './module.ts';
import { type Parameter, parameter } from './parameter.ts';

export interface LayerNormOptions {
  eps?: number;
  /** False: no weight and no bias, so no keys (the norms of DiT, the final norms of RAE's encoders). */
  affine?: boolean;
  bias?: boolean;
}

export class LayerNorm extends Module {
  readonly weight: Parameter | undefined; // [width]
  readonly bias: Parameter | undefined; // [width]
  readonly width: number;
  readonly eps: number;

  constructor(width: number, { eps = 1e-5, affine = true, bias = true }: LayerNormOptions = {}) {
    super();
    this.weight = affine ? parameter(ones_(empty([width]))) : undefined;
    this.bias = affine && bias ? parameter(zeros_(empty([width]))) : undefined;
    this.width = width;
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, [this.width], this.weight, this.bias, this.eps); // [..., width]
  }
}
