// 2-D convolution over [B, C, H, W] (torch.nn.Conv2d, zero padding, with its initial values).

import { conv2d, empty, type Tensor } from '../tensor/index.ts';
import { defaultInit_, type InitOptions } from './init.ts';
import { Module } from './module.ts';
import { type Parameter, parameter } from './parameter.ts';

/** One number for both axes, or [height, width]. */
export type Pair = number | readonly [number, number];

export interface Conv2dOptions extends InitOptions {
  stride?: Pair;
  padding?: Pair;
  dilation?: Pair;
  groups?: number;
  bias?: boolean;
}

export class Conv2d extends Module {
  readonly weight: Parameter; // [out, in / groups, kh, kw]
  readonly bias: Parameter | undefined; // [out]
  readonly stride: number[];
  readonly padding: number[];
  readonly dilation: number[];
  readonly groups: number;

  constructor(
    inputs: number,
    outputs: number,
    kernel: Pair,
    { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true, generator }: Conv2dOptions = {},
  ) {
    super();
    this.weight = parameter(empty([outputs, inputs / groups, ...pair(kernel)]));
    this.bias = bias ? parameter(empty([outputs])) : undefined;
    this.stride = pair(stride);
    this.padding = pair(padding);
    this.dilation = pair(dilation);
    this.groups = groups;
    defaultInit_(this.weight, this.bias, { generator });
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.stride, this.padding, this.dilation, this.groups); // [B, out, H', W']
  }
}

function pair(value: Pair): number[] {
  return typeof value === 'number' ? [value, value] : [...value];
}
