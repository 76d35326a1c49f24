// The convolutions of SqueezeNet 1.1 (Iandola et al. 2016; key names as in torchvision) with the seven activations that LPIPS compares.
// Only the trunk: the classifier is left out.

import { Conv2d, Module } from '../nn/index.ts';
import { cat, maxPool2d, type Tensor, tidy } from '../tensor/index.ts';

/** Squeeze to few channels, then expand by 1x1 and 3x3 convolutions side by side. */
class Fire extends Module {
  readonly squeeze: Conv2d;
  readonly expand1x1: Conv2d;
  readonly expand3x3: Conv2d;

  constructor(inputs: number, squeezed: number, expanded: number) {
    super();
    this.squeeze = new Conv2d(inputs, squeezed, 1);
    this.expand1x1 = new Conv2d(squeezed, expanded, 1);
    this.expand3x3 = new Conv2d(squeezed, expanded, 3, { padding: 1 });
  }

  forward(x: Tensor): Tensor {
    return tidy(() => {
      const s = this.squeeze.forward(x).relu_(); // [B, squeezed, H, W]
      return cat([this.expand1x1.forward(s), this.expand3x3.forward(s)], 1).relu_(); // [B, 2 * expanded, H, W]
    });
  }
}

export class SqueezeNet extends Module {
  /** Pictures may not be smaller. */
  readonly minSide = 17;
  /** Pixels per position of the first, largest activation. */
  readonly firstStride = 2;
  /** Widths of the activations that `forward` returns. */
  readonly channels = [64, 128, 256, 384, 384, 512, 512];
  readonly features = {
    0: new Conv2d(3, 64, 3, { stride: 2 }),
    3: new Fire(64, 16, 64),
    4: new Fire(128, 16, 64),
    6: new Fire(128, 32, 128),
    7: new Fire(256, 32, 128),
    9: new Fire(256, 48, 192),
    10: new Fire(384, 48, 192),
    11: new Fire(384, 64, 256),
    12: new Fire(512, 64, 256),
  };

  /** Images [B, 3, H, W] to the outputs of relu1, fire4, fire7, fire9, fire10, fire11 and fire12. */
  forward(images: Tensor): Tensor[] {
    const f = this.features;
    const relu1 = f[0].forward(images).relu_(); // [B, 64, H/2, W/2]
    const fire4 = f[4].forward(f[3].forward(pool(relu1))); // [B, 128, H/4, W/4]
    const fire7 = f[7].forward(f[6].forward(pool(fire4))); // [B, 256, H/8, W/8]
    const fire9 = f[9].forward(pool(fire7)); // [B, 384, H/16, W/16]
    const fire10 = f[10].forward(fire9);
    const fire11 = f[11].forward(fire10); // [B, 512, H/16, W/16]
    return [relu1, fire4, fire7, fire9, fire10, fire11, f[12].forward(fire11)];
  }
}

function pool(x: Tensor): Tensor {
  return maxPool2d(x, [3, 3], [2, 2], [0, 0], [1, 1], { ceilMode: true });
}
