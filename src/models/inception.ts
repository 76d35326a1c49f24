// Inception v3 as FID has it: the 2015 TensorFlow graph converted ("inception-v3-compat", weights-inception-2015-12-05 of torch-fidelity;
// spec 13.5), with its 1008 classes and its TensorFlow 1 resize. Keys as in that file.
// It differs from torchvision's Inception: average pools do not count padding and the last block pools by maximum.

import { Linear, Module } from '../nn/index.ts';
import { adaptiveAvgPool2d, call, maxPool2d, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { averagePool, BasicConv, BlockA, BlockB, BlockC, BlockD, BlockE } from './layers/inception-blocks.ts';

const SIDE = 299;

export interface InceptionFeatures {
  /** Pooled activations: after the first and the second max pool, before and at the end. */
  64: Tensor;
  192: Tensor;
  768: Tensor;
  2048: Tensor;
  /** First 7 channels of Mixed_6d.branch1x1, rows, columns and channels flattened: what sFID compares, [B, 2023]. */
  spatial: Tensor;
}

export interface InceptionForwardOptions {
  /** Called with each block's name and activation, which is borrowed. */
  onBlock?: (name: string, activation: Tensor) => void;
}

/** Inception v3 in evaluation; `forward` takes bytes. */
export class Inception extends Module {
  readonly Conv2d_1a_3x3 = new BasicConv(3, 32, [3, 3], { stride: 2 });
  readonly Conv2d_2a_3x3 = new BasicConv(32, 32, [3, 3]);
  readonly Conv2d_2b_3x3 = new BasicConv(32, 64, [3, 3], { padding: [1, 1] });
  readonly Conv2d_3b_1x1 = new BasicConv(64, 80, [1, 1]);
  readonly Conv2d_4a_3x3 = new BasicConv(80, 192, [3, 3]);
  readonly Mixed_5b = new BlockA(192, 32);
  readonly Mixed_5c = new BlockA(256, 64);
  readonly Mixed_5d = new BlockA(288, 64);
  readonly Mixed_6a = new BlockB(288);
  readonly Mixed_6b = new BlockC(768, 128);
  readonly Mixed_6c = new BlockC(768, 160);
  readonly Mixed_6d = new BlockC(768, 160);
  readonly Mixed_6e = new BlockC(768, 192);
  readonly Mixed_7a = new BlockD(768);
  readonly Mixed_7b = new BlockE(1280, averagePool);
  readonly Mixed_7c = new BlockE(2048, (x) => maxPool2d(x, 3, 1, 1));
  readonly fc = new Linear(2048, 1008);

  constructor() {
    super();
    this.eval().requiresGrad_(false);
  }

  /** Pictures of bytes [B, 3, H, W] (0...255, any number dtype) to features. */
  forward(images: Tensor, { onBlock }: InceptionForwardOptions = {}): InceptionFeatures {
    return tidy(() => {
      const pooled = (x: Tensor) => adaptiveAvgPool2d(x, [1, 1]).flatten(1);
      const through = (x: Tensor, ...names: BlockName[]) =>
        names.reduce((y, name) => {
          const z = tidy(() => this[name].forward(y));
          onBlock?.(name, z);
          return z;
        }, x);
      const input = channelsLast(resizeLikeTensorFlow1(images.to('f32'), SIDE).sub(128).div(128)); // [B, 3, 299, 299]
      const first = maxPool2d(through(input, 'Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3'), 3, 2); // [B, 64, 73, 73]
      const second = maxPool2d(through(first, 'Conv2d_3b_1x1', 'Conv2d_4a_3x3'), 3, 2); // [B, 192, 35, 35]
      const sixthC = through(second, 'Mixed_5b', 'Mixed_5c', 'Mixed_5d', 'Mixed_6a', 'Mixed_6b', 'Mixed_6c'); // [B, 768, 17, 17]
      const spatial = this.Mixed_6d.branch1x1.forward(sixthC).narrow(1, 0, 7); // [B, 7, 17, 17]
      const sixth = through(sixthC, 'Mixed_6d', 'Mixed_6e');
      const last = through(sixth, 'Mixed_7a', 'Mixed_7b', 'Mixed_7c'); // [B, 2048, 8, 8]
      return {
        64: pooled(first),
        192: pooled(second),
        768: pooled(sixth),
        2048: pooled(last),
        spatial: spatial.permute([0, 2, 3, 1]).flatten(1),
      };
    });
  }

  /** Class scores [B, 1008] of 2048 features; the Inception Score leaves the bias out. */
  logits(features: Tensor, { bias = true }: { bias?: boolean } = {}): Tensor {
    return bias ? this.fc.forward(features) : features.matmul(this.fc.weight.t());
  }
}

type BlockName = Exclude<
  { [K in keyof Inception]: Inception[K] extends { forward(x: Tensor): Tensor } ? K : never }[keyof Inception],
  'fc'
>;

/** The same numbers with channels innermost: convolutions on a CPU take less time so, and what follows keeps the order. */
function channelsLast(x: Tensor): Tensor {
  return call('aten::contiguous', [x, 2]);
}

/** TensorFlow 1's bilinear resize of x [B, C, H, W] to a square: source = target * in / out, no half-pixel offset, the border repeated. */
export function resizeLikeTensorFlow1(x: Tensor, side: number): Tensor {
  const [, , H, W] = x.dims(4);
  return tidy(() =>
    resizeMatrix(H, side, x)
      .matmul(x)
      .matmul(resizeMatrix(W, side, x).t()),
  );
}

/** [side, n] matrix of the two weights of each target pixel; positions in float32, as TensorFlow has them. */
function resizeMatrix(n: number, side: number, like: Tensor): Tensor {
  const matrix = new Float32Array(side * n);
  const scale = Math.fround(n / side);
  for (let i = 0; i < side; i++) {
    const position = Math.fround(i * scale);
    const low = Math.floor(position);
    const high = Math.min(low + 1, n - 1);
    matrix[i * n + low]! += 1 - (position - low);
    matrix[i * n + high]! += position - low;
  }
  return tensor(matrix, { shape: [side, n], device: like.device });
}
