// The convolutions of AlexNet (Krizhevsky 2014, the one-column variant; key names as in torchvision) with the five activations that LPIPS
// compares. Only the trunk: the classifier is left out.

import { Conv2d, Module } from '../nn/index.ts';
import { maxPool2d, type Tensor } from '../tensor/index.ts';

export class AlexNet extends Module {
  /** Pictures may not be smaller. */
  readonly minSide = 31;
  /** Pixels per position of the first, largest activation. */
  readonly firstStride = 4;
  /** Widths of the activations that `forward` returns. */
  readonly channels = [64, 192, 384, 256, 256];
  readonly features = {
    0: new Conv2d(3, 64, 11, { stride: 4, padding: 2 }),
    3: new Conv2d(64, 192, 5, { padding: 2 }),
    6: new Conv2d(192, 384, 3, { padding: 1 }),
    8: new Conv2d(384, 256, 3, { padding: 1 }),
    10: new Conv2d(256, 256, 3, { padding: 1 }),
  };

  /** Images [B, 3, H, W] to the outputs of the five ReLUs. */
  forward(images: Tensor): Tensor[] {
    const f = this.features;
    const relu1 = f[0].forward(images).relu_(); // [B, 64, H/4, W/4]
    const relu2 = f[3].forward(pool(relu1)).relu_(); // [B, 192, H/8, W/8]
    const relu3 = f[6].forward(pool(relu2)).relu_(); // [B, 384, H/16, W/16]
    const relu4 = f[8].forward(relu3).relu_(); // [B, 256, H/16, W/16]
    return [relu1, relu2, relu3, relu4, f[10].forward(relu4).relu_()];
  }
}

function pool(x: Tensor): Tensor {
  return maxPool2d(x, [3, 3], [2, 2]);
}
