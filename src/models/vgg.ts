// The convolutions of VGG16 (Simonyan and Zisserman 2014; key names as in torchvision) with the five activations that LPIPS compares:
// relu1_2, relu2_2, relu3_3, relu4_3, relu5_3. Only the trunk: the classifier is left out.

import { Conv2d, Module } from '../nn/index.ts';
import { maxPool2d, type Tensor } from '../tensor/index.ts';

/** Positions of the convolutions in torchvision's `features`; stages are divided by 2x2 max pooling. */
const STAGES = [
  [0, 2],
  [5, 7],
  [10, 12, 14],
  [17, 19, 21],
  [24, 26, 28],
];

export class VGG16 extends Module {
  /** Pictures may not be smaller. */
  readonly minSide = 16;
  /** Pixels per position of the first, largest activation. */
  readonly firstStride = 1;
  /** Widths of the activations that `forward` returns. */
  readonly channels = [64, 128, 256, 512, 512];
  readonly features: Record<number, Conv2d> = {};

  constructor() {
    super();
    let inputs = 3;
    for (const [stage, positions] of STAGES.entries()) {
      for (const position of positions) {
        const width = this.channels[stage]!;
        this.features[position] = new Conv2d(inputs, width, 3, { padding: 1 });
        inputs = width;
      }
    }
  }

  /** Images [B, 3, H, W] to five activations [B, channels[i], H / 2^i, W / 2^i]. */
  forward(images: Tensor): Tensor[] {
    let x = images;
    return STAGES.map((positions, stage) => {
      if (stage > 0) x = maxPool2d(x, [2, 2], [2, 2]);
      for (const position of positions) x = this.features[position]!.forward(x).relu_();
      return x;
    });
  }
}
