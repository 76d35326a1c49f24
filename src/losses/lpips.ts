// LPIPS v0.1, the learned perceptual distance (Zhang et al. 2018; spec 5), over VGG16, SqueezeNet 1.1 or AlexNet.
// Features of both pictures are scaled to unit length at each position; their squared difference is weighted per channel, averaged over the
// positions and summed over the layers.
// The gradient is made together with the value, in pieces of the batch, and attached to it: on a CPU in less than half the time that a
// recorded graph takes, and without its memory. Hence no second derivatives.
// Differs from the reference: where all channels of a position are 0 the length has gradient 0; the reference's square root gives NaN there.

import { buffer, Module, type Parameter, parameter } from '../nn/index.ts';
import { call, cat, enableGrad, grad, noGrad, stack, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ShapeError } from '../util/errors.ts';
import { layerDistance, negativeUnit } from './lpips-layer.ts';

const SHIFT = [-0.03, -0.088, -0.188]; // ImageNet's mean and deviation for pictures in [-1, 1]
const SCALE = [0.458, 0.448, 0.45];

/** Numbers in the largest activation of a piece. On CPUs 16 MB: measured best, and malloc maps blocks above 32 MB anew each time. */
const PIECE = { cpu: 2 ** 22, cuda: 2 ** 26 };
const CHANNELS_LAST = 2; // libtorch's memory format; convolutions take half the time in it

/** A picture network that returns the activations to compare, [B, channels[i], h_i, w_i]. */
export interface FeatureTrunk extends Module {
  readonly channels: readonly number[];
  readonly minSide: number;
  readonly firstStride: number;
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

  /** Distance of each pair, [B], float32. The order of the two does not matter; gradients flow to those that require one. */
  forward(a: Tensor, b: Tensor): Tensor {
    return tidy(() => {
      let distances: Tensor | undefined;
      for (const [x, other] of [[a, b] as const, [b, a] as const]) {
        if (!x.requiresGrad) continue;
        const { value, gradient } = noGrad(() => this.#differentiate(x, other));
        distances = attachGradient(distances ?? value, x, gradient);
      }
      return distances ?? this.layers(a, b).sum(1);
    });
  }

  /** The layers' parts of the distance, [B, layers], without gradient. */
  layers(a: Tensor, b: Tensor): Tensor {
    return noGrad(() =>
      this.#inPieces(a, b, (x, y) => {
        const [n] = x.dims(4);
        const features = this.features(cat([x, y], 0)); // both pictures in one pass
        const parts = features.map((both, i) => {
          const [of, to] = [both.narrow(0, 0, n), negativeUnit(both.narrow(0, n, n))];
          return layerDistance(of, to, this.heads[i]!).distance;
        });
        return [stack(parts, 1)];
      }),
    )[0]!;
  }

  /** Distances [B] and their gradient with respect to x [B, 3, H, W], `other` held fixed. */
  #differentiate(x: Tensor, other: Tensor): { value: Tensor; gradient: Tensor } {
    const [value, gradient] = this.#inPieces(x, other, (part, fixed) => {
      const units = this.features(fixed).map(negativeUnit);
      const leaf = part.setRequiresGrad();
      const features = enableGrad(() => this.features(leaf));
      const layers = features.map((of, i) => layerDistance(of, units[i]!, this.heads[i]!, { gradient: true }));
      const [gradient] = grad(features, [leaf], { gradOutputs: layers.map((layer) => layer.gradient!) });
      return [layers.map((layer) => layer.distance).reduce((sum, d) => sum.add(d)), gradient!];
    });
    return { value: value!, gradient: gradient! };
  }

  /** The activations that are compared, [B, C, h, w] for each layer, of pictures in [-1, 1]; gradients flow. */
  features(images: Tensor): Tensor[] {
    return tidy(() => this.trunk.forward(images.sub(this.shift).div(this.scale)));
  }

  /** Runs `fn` on pieces of both batches, channels last and cut from their graphs, and joins each of its results along the batch. */
  #inPieces(a: Tensor, b: Tensor, fn: (a: Tensor, b: Tensor) => Tensor[]): Tensor[] {
    const [B, C, H, W] = a.dims(4);
    const { minSide, firstStride, channels } = this.trunk;
    if (C !== 3 || Math.min(H, W) < minSide)
      throw new ShapeError(expected('Lpips', `pictures [B, 3, H, W] with sides of at least ${minSide}`, a.shape));
    if (`${b.shape}` !== `${a.shape}`)
      throw new ShapeError(expected('Lpips', `two batches of one shape, [${a.shape}] as the first`, b.shape));
    const largest = (channels[0]! * H * W) / firstStride ** 2;
    const length = Math.max(1, Math.floor((a.device === 'cpu' ? PIECE.cpu : PIECE.cuda) / largest));
    return tidy(() => {
      const results: Tensor[][] = [];
      for (let start = 0; start < B; start += length) {
        const piece = (x: Tensor) =>
          call('aten::contiguous', [x.detach().narrow(0, start, Math.min(length, B - start)), CHANNELS_LAST]);
        results.push(tidy(() => fn(piece(a), piece(b))));
      }
      return results[0]!.map((_, i) =>
        cat(
          results.map((result) => result[i]!),
          0,
        ),
      );
    });
  }
}

/** `value` [B] as it is, with d value_b / d x_b = gradient_b: the added term is 0. */
function attachGradient(value: Tensor, x: Tensor, gradient: Tensor): Tensor {
  return value.add(x.sub(x.detach()).mul(gradient).sum([1, 2, 3]));
}
