// Group normalisation: channels of [B, C, ...] in groups, each normalised over its channels and positions (torch.nn.GroupNorm).

import { empty, groupNorm, type Tensor } from '../tensor/index.ts';
import { ones_, zeros_ } from './init.ts';
import { Module } from './module.ts';
import { type Parameter, parameter } from './parameter.ts';

export class GroupNorm extends Module {
  readonly weight: Parameter | undefined; // [channels]
  readonly bias: Parameter | undefined; // [channels]
  readonly groups: number;
  readonly eps: number;

  constructor(
    groups: number,
    channels: number,
    { eps = 1e-5, affine = true }: { eps?: number; affine?: boolean } = {},
  ) {
    super();
    this.weight = affine ? parameter(ones_(empty([channels]))) : undefined;
    this.bias = affine ? parameter(zeros_(empty([channels]))) : undefined;
    this.groups = groups;
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, this.groups, this.weight, this.bias, this.eps); // [B, C, ...]
  }
}
