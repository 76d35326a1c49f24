// LPIPS v0.1, the learned perceptual distance (Zhang et al. 2018; spec 5), over VGG16, SqueezeNet 1.1 or AlexNet.
// Features of both pictures are scaled to unit length at each position; their squared difference is weighted per channel, averaged over the
// positions and summed over the layers.
// Differs from the reference: where all channels of a position are 0 the length has gradient 0; the reference's square root gives NaN there.

import { buffer, Module, type Parameter, parameter } from '../nn/index.ts';
import { cat, conv2d, linalgVectorNorm, noGrad, stack, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ShapeError } from '../util/errors.ts';

const EPS = 1e-10; // added to the length, not under the root
const SHIFT = [-0.03, -0.088, -0.188]; // ImageNet's mean and deviation for pictures in [-1, 1]
const SCALE = [0.458, 0.448, 0.45];

/** A picture network that returns the activations to compare, [B, channels[i], h_i, w_i]. */
export interface FeatureTrunk extends Module {
  readonly channels: readonly number[];
  readonly minSide: number;
  forward(images: Tensor): Tensor[];
}

/** The frozen distance. `lpipsFromWeights` builds it; pictures are [B, 3, H, W] in [-1, 1]. */
export class Lpips extends Module {
  readonly trunk: FeatureTrunk;
  readonly heads: Parameter[]; // one a layer: [1, C, 1, 1]
  readonly shift: Tensor;
  readonly scale: Tensor;

  /** Takes over the trunk and copies the heads. */
  constructor(trunk: FeatureTrunk, heads: readonly Tensor[]) {
    super();
    this.trunk = trunk;
    this.heads = heads.map((head) => parameter(head.to('f32').clone()));
    this.shift = buffer(tensor(SHIFT, { shape: [1, 3, 1, 1] }), { persistent: false });
    this.scale = buffer(tensor(SCALE, { shape: [1, 3, 1, 1] }), { persistent: false });
    this.eval().requiresGrad_(false);
  }

  /** Distance of each pair, [B]. The order of the two does not matter. */
  forward(a: Tensor, b: Tensor): Tensor {
    return tidy(() => this.layers(a, b).sum([1]));
  }

  /** The layers' parts of the distance, [B, layers]. */
  layers(a: Tensor, b: Tensor): Tensor {
    return tidy(() => {
      const [unitA, unitB] = this.#unitFeatures(a, b);
      const parts = unitA.map((unit, i) => {
        const weighted = conv2d(unit.sub(unitB[i]!).square(), this.heads[i]!); // [B, 1, h, w]
        return weighted.flatten(1).mean([1]);
      });
      return stack(parts, 1);
    });
  }

  /** Unit features of both. Where one of the two needs no gradient its pass records none; where neither does they share one pass. */
  #unitFeatures(a: Tensor, b: Tensor): [Tensor[], Tensor[]] {
    const [B] = this.#check(a);
    if (`${b.shape}` !== `${a.shape}`)
      throw new ShapeError(expected('Lpips', `two batches of one shape, [${a.shape}] as the first`, b.shape));
    if (a.requiresGrad === b.requiresGrad) {
      const both = this.#units(cat([a, b], 0));
      return [both.map((unit) => unit.narrow(0, 0, B)), both.map((unit) => unit.narrow(0, B, B))];
    }
    const frozen = (x: Tensor) => (x.requiresGrad ? this.#units(x) : noGrad(() => this.#units(x)));
    return [frozen(a), frozen(b)];
  }

  #units(images: Tensor): Tensor[] {
    return tidy(() =>
      this.trunk.forward(images.sub(this.shift).div(this.scale)).map((features) => {
        const x = features.to('f32'); // lengths in float32 under autocast, too
        return x.div(linalgVectorNorm(x, 2, [1], { keepdim: true }).add(EPS));
      }),
    );
  }

  #check(images: Tensor): readonly [number, number, number, number] {
    const shape = images.dims(4);
    const [, C, H, W] = shape;
    const { minSide } = this.trunk;
    if (C !== 3 || Math.min(H, W) < minSide)
      throw new ShapeError(expected('Lpips', `pictures [B, 3, H, W] with sides of at least ${minSide}`, images.shape));
    return shape;
  }
}
