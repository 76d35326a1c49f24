// y = x W^T + b (torch.nn.Linear, with its initial values).

import { empty, linear, type Tensor } from '../tensor/index.ts';
import { defaultInit_, type InitOptions } from './init.ts';
import { Module } from './module.ts';
import { type Parameter, parameter } from './parameter.ts';

export class Linear extends Module {
  readonly weight: Parameter; // [out, in]
  readonly bias: Parameter | undefined; // [out]

  constructor(inputs: number, outputs: number, { bias = true, generator }: InitOptions & { bias?: boolean } = {}) {
    super();
    this.weight = parameter(empty([outputs, inputs]));
    this.bias = bias ? parameter(empty([outputs])) : undefined;
    defaultInit_(this.weight, this.bias, { generator });
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias); // [..., in] -> [..., out]
  }
}
