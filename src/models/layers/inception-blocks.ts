// The blocks of Inception v3 (Szegedy et al. 2015) in the FID variant: average pools do not count padding. Keys as in torchvision.
// Every convolution is without bias, followed by batch norm (running statistics, eps 1e-3) and ReLU.

import { buffer, init, Module, type Parameter, parameter } from '../../nn/index.ts';
import { avgPool2d, cat, conv2d, empty, maxPool2d, ones, type Tensor, tidy, zeros } from '../../tensor/index.ts';

interface BasicConvOptions {
  stride?: number;
  padding?: [number, number];
}

export class BasicConv extends Module {
  readonly conv: { weight: Parameter };
  readonly bn: {
    weight: Parameter;
    bias: Parameter;
    running_mean: Tensor;
    running_var: Tensor;
    num_batches_tracked: Tensor;
  };
  readonly stride: number;
  readonly padding: [number, number];

  constructor(
    inputs: number,
    outputs: number,
    kernel: [number, number],
    { stride = 1, padding = [0, 0] }: BasicConvOptions = {},
  ) {
    super();
    this.conv = { weight: parameter(init.kaimingUniform_(empty([outputs, inputs, ...kernel]))) };
    this.bn = {
      weight: parameter(ones([outputs])),
      bias: parameter(zeros([outputs])),
      running_mean: buffer(zeros([outputs])),
      running_var: buffer(ones([outputs])),
      num_batches_tracked: buffer(zeros([], { dtype: 'i64' })),
    };
    this.stride = stride;
    this.padding = padding;
  }

  forward(x: Tensor): Tensor {
    return tidy(() => {
      const { weight, bias, running_mean, running_var } = this.bn;
      const scale = weight.div(running_var.add(1e-3).sqrt()); // folded into the convolution: one pass over the activations less
      const shift = bias.sub(running_mean.mul(scale));
      return conv2d(x, this.conv.weight.mul(scale.view([-1, 1, 1, 1])), shift, this.stride, this.padding).relu_();
    });
  }
}

/** 3 x 3, stride 1. */
export function averagePool(x: Tensor): Tensor {
  return avgPool2d(x, 3, 1, 1, undefined, { countIncludePad: false });
}

/** x through one convolution after another. */
function chain(x: Tensor, ...convs: BasicConv[]): Tensor {
  return convs.reduce((y, conv) => conv.forward(y), x);
}

export class BlockA extends Module {
  readonly branch1x1: BasicConv;
  readonly branch5x5_1: BasicConv;
  readonly branch5x5_2 = new BasicConv(48, 64, [5, 5], { padding: [2, 2] });
  readonly branch3x3dbl_1: BasicConv;
  readonly branch3x3dbl_2 = new BasicConv(64, 96, [3, 3], { padding: [1, 1] });
  readonly branch3x3dbl_3 = new BasicConv(96, 96, [3, 3], { padding: [1, 1] });
  readonly branch_pool: BasicConv;

  constructor(inputs: number, pooled: number) {
    super();
    this.branch1x1 = new BasicConv(inputs, 64, [1, 1]);
    this.branch5x5_1 = new BasicConv(inputs, 48, [1, 1]);
    this.branch3x3dbl_1 = new BasicConv(inputs, 64, [1, 1]);
    this.branch_pool = new BasicConv(inputs, pooled, [1, 1]);
  }

  forward(x: Tensor): Tensor {
    const five = chain(x, this.branch5x5_1, this.branch5x5_2);
    const three = chain(x, this.branch3x3dbl_1, this.branch3x3dbl_2, this.branch3x3dbl_3);
    return cat([this.branch1x1.forward(x), five, three, this.branch_pool.forward(averagePool(x))], 1);
  }
}

export class BlockB extends Module {
  readonly branch3x3: BasicConv;
  readonly branch3x3dbl_1: BasicConv;
  readonly branch3x3dbl_2 = new BasicConv(64, 96, [3, 3], { padding: [1, 1] });
  readonly branch3x3dbl_3 = new BasicConv(96, 96, [3, 3], { stride: 2 });

  constructor(inputs: number) {
    super();
    this.branch3x3 = new BasicConv(inputs, 384, [3, 3], { stride: 2 });
    this.branch3x3dbl_1 = new BasicConv(inputs, 64, [1, 1]);
  }

  forward(x: Tensor): Tensor {
    const double = chain(x, this.branch3x3dbl_1, this.branch3x3dbl_2, this.branch3x3dbl_3);
    return cat([this.branch3x3.forward(x), double, maxPool2d(x, 3, 2)], 1);
  }
}

const ROW = { padding: [0, 3] as [number, number] };
const COLUMN = { padding: [3, 0] as [number, number] };

export class BlockC extends Module {
  readonly branch1x1: BasicConv;
  readonly branch7x7_1: BasicConv;
  readonly branch7x7_2: BasicConv;
  readonly branch7x7_3: BasicConv;
  readonly branch7x7dbl_1: BasicConv;
  readonly branch7x7dbl_2: BasicConv;
  readonly branch7x7dbl_3: BasicConv;
  readonly branch7x7dbl_4: BasicConv;
  readonly branch7x7dbl_5: BasicConv;
  readonly branch_pool: BasicConv;

  constructor(inputs: number, width: number) {
    super();
    this.branch1x1 = new BasicConv(inputs, 192, [1, 1]);
    this.branch7x7_1 = new BasicConv(inputs, width, [1, 1]);
    this.branch7x7_2 = new BasicConv(width, width, [1, 7], ROW);
    this.branch7x7_3 = new BasicConv(width, 192, [7, 1], COLUMN);
    this.branch7x7dbl_1 = new BasicConv(inputs, width, [1, 1]);
    this.branch7x7dbl_2 = new BasicConv(width, width, [7, 1], COLUMN);
    this.branch7x7dbl_3 = new BasicConv(width, width, [1, 7], ROW);
    this.branch7x7dbl_4 = new BasicConv(width, width, [7, 1], COLUMN);
    this.branch7x7dbl_5 = new BasicConv(width, 192, [1, 7], ROW);
    this.branch_pool = new BasicConv(inputs, 192, [1, 1]);
  }

  forward(x: Tensor): Tensor {
    const seven = chain(x, this.branch7x7_1, this.branch7x7_2, this.branch7x7_3);
    const double = chain(
      x,
      this.branch7x7dbl_1,
      this.branch7x7dbl_2,
      this.branch7x7dbl_3,
      this.branch7x7dbl_4,
      this.branch7x7dbl_5,
    );
    return cat([this.branch1x1.forward(x), seven, double, this.branch_pool.forward(averagePool(x))], 1);
  }
}

export class BlockD extends Module {
  readonly branch3x3_1: BasicConv;
  readonly branch3x3_2 = new BasicConv(192, 320, [3, 3], { stride: 2 });
  readonly branch7x7x3_1: BasicConv;
  readonly branch7x7x3_2 = new BasicConv(192, 192, [1, 7], ROW);
  readonly branch7x7x3_3 = new BasicConv(192, 192, [7, 1], COLUMN);
  readonly branch7x7x3_4 = new BasicConv(192, 192, [3, 3], { stride: 2 });

  constructor(inputs: number) {
    super();
    this.branch3x3_1 = new BasicConv(inputs, 192, [1, 1]);
    this.branch7x7x3_1 = new BasicConv(inputs, 192, [1, 1]);
  }

  forward(x: Tensor): Tensor {
    const three = chain(x, this.branch3x3_1, this.branch3x3_2);
    const seven = chain(x, this.branch7x7x3_1, this.branch7x7x3_2, this.branch7x7x3_3, this.branch7x7x3_4);
    return cat([three, seven, maxPool2d(x, 3, 2)], 1);
  }
}

export class BlockE extends Module {
  readonly branch1x1: BasicConv;
  readonly branch3x3_1: BasicConv;
  readonly branch3x3_2a = new BasicConv(384, 384, [1, 3], { padding: [0, 1] });
  readonly branch3x3_2b = new BasicConv(384, 384, [3, 1], { padding: [1, 0] });
  readonly branch3x3dbl_1: BasicConv;
  readonly branch3x3dbl_2 = new BasicConv(448, 384, [3, 3], { padding: [1, 1] });
  readonly branch3x3dbl_3a = new BasicConv(384, 384, [1, 3], { padding: [0, 1] });
  readonly branch3x3dbl_3b = new BasicConv(384, 384, [3, 1], { padding: [1, 0] });
  readonly branch_pool: BasicConv;
  readonly #pool: (x: Tensor) => Tensor;

  constructor(inputs: number, pool: (x: Tensor) => Tensor) {
    super();
    this.branch1x1 = new BasicConv(inputs, 320, [1, 1]);
    this.branch3x3_1 = new BasicConv(inputs, 384, [1, 1]);
    this.branch3x3dbl_1 = new BasicConv(inputs, 448, [1, 1]);
    this.branch_pool = new BasicConv(inputs, 192, [1, 1]);
    this.#pool = pool;
  }

  forward(x: Tensor): Tensor {
    const three = this.branch3x3_1.forward(x);
    const double = chain(x, this.branch3x3dbl_1, this.branch3x3dbl_2);
    const halves = [this.branch3x3_2a.forward(three), this.branch3x3_2b.forward(three)];
    const doubleHalves = [this.branch3x3dbl_3a.forward(double), this.branch3x3dbl_3b.forward(double)];
    return cat([this.branch1x1.forward(x), ...halves, ...doubleHalves, this.branch_pool.forward(this.#pool(x))], 1);
  }
}
