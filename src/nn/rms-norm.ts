// Root-mean-square norm as LightningDiT has it: x * rsqrt(mean(x^2) + eps) in float32, cast back, then times weight.
// The order matters in bf16: torch.nn.RMSNorm multiplies by the weight before it casts back.

import { empty, type Tensor } from '../tensor/index.ts';
import { ones_ } from './init.ts';
import { Module } from './module.ts';
import { type Parameter, parameter } from './parameter.ts';

export class RMSNorm extends Module {
  readonly weight: Parameter; // [width]
  readonly eps: number;

  constructor(width: number, { eps = 1e-6 }: { eps?: number } = {}) {
    super();
    this.weight = parameter(ones_(empty([width])));
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    const wide = x.dtype === 'f64' ? x : x.to('f32');
    const scale = wide.square().mean([-1], { keepdim: true }).add(this.eps).rsqrt(); // [..., 1]
    return wide.mul(scale).to(x.dtype).mul(this.weight); // [..., width]
  }
}
