// The discriminator of stage 1 (StyleGAN-T's projected one in VAR's variant; spec 6): a frozen DINO ViT trunk and, on the patch tokens of its
// last and of some inner blocks, small trained heads over the token axis. State dicts hold the heads alone, under the reference's keys.
// Differs from the reference: any ViT can be the trunk, and pictures may keep their resolution (`resize: false`).
// B batch, N patch tokens, D width of the trunk, J heads.

import { GroupNorm, type InitOptions, Module, type Parameter, parameter } from '../nn/index.ts';
import {
  cat,
  type Device,
  type Dtype,
  groupNorm,
  leakyRelu,
  ones,
  type Tensor,
  tensor,
  tidy,
  upsampleBilinear2d,
  zeros,
} from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { IMAGENET_MEAN, IMAGENET_STD } from './encoders/encoder.ts';
import { HeadConv, type HeadConvOptions, SpectralConv, type SpectralOptions } from './layers/head-conv.ts';
import type { ViT } from './vit.ts';

export interface DiscriminatorOptions extends InitOptions {
  /** Frozen here; borrowed, so that its owner frees it. */
  trunk: ViT;
  /** Blocks whose output a head sees, beside the last block's. */
  keyDepths?: readonly number[];
  /** Width of the residual convolution, odd. */
  kernel?: number;
  /** 'bn': each sample and channel over its tokens (BatchNormLocal); 'gn': 32 groups. */
  norm?: 'bn' | 'gn';
  spectral?: boolean;
  eps?: number;
  /** Bring pictures to the size that the trunk was trained on, as the reference always does. */
  resize?: boolean;
  /** Pixel mean and standard deviation of the trunk, for pixels in [0, 1]. */
  mean?: readonly number[];
  std?: readonly number[];
}

export class Discriminator extends Module {
  readonly heads: Head[];
  readonly keyDepths: readonly number[];
  readonly resize: boolean;
  readonly #trunk: ViT; // private: not part of state dicts
  readonly #scale: readonly number[];
  readonly #shift: readonly number[];

  constructor(options: DiscriminatorOptions) {
    super();
    const { trunk, keyDepths = [2, 5, 8, 11], mean = IMAGENET_MEAN, std = IMAGENET_STD } = options;
    const { width, depth } = trunk.options;
    const wrong = keyDepths.find((at) => !(Number.isInteger(at) && at >= 0 && at < depth));
    if (wrong !== undefined)
      throw new ArgumentError(expected('Discriminator.keyDepths', `blocks of the trunk, 0 to ${depth - 1}`, wrong));
    this.#trunk = trunk.eval().requiresGrad_(false);
    this.heads = [-1, ...keyDepths].map(() => new Head(width, options));
    this.keyDepths = keyDepths;
    this.resize = options.resize ?? true;
    this.#scale = std.map((s) => 0.5 / s); // from [-1, 1] to the trunk's normalised pixels
    this.#shift = mean.map((m, c) => (0.5 - m) / std[c]!);
  }

  /** Pictures [B, 3, H, W] in [-1, 1] -> logits [B, J * N], the heads' side by side. */
  forward(images: Tensor, options: SpectralOptions = {}): Tensor {
    return tidy(() => this.judge(this.features(images), options));
  }

  /** What the heads see: the patch tokens of the last block and of the key blocks, J times [B, D, N]. */
  features(images: Tensor): Tensor[] {
    return tidy(() => {
      const taps = new Map<number, Tensor>();
      const last = this.#trunk.options.depth - 1;
      this.#trunk.forward(this.#pixels(images), {
        onBlock: (index, tokens) => {
          if (index === last || this.keyDepths.includes(index))
            taps.set(index, tokens.slice(1, this.#trunk.prefix).transpose(1, 2)); // [B, D, N]
        },
      });
      return [last, ...this.keyDepths].map((index) => taps.get(index)!);
    });
  }

  /** Features to logits [B, J * N], float32. */
  judge(features: readonly Tensor[], options: SpectralOptions = {}): Tensor {
    return tidy(() =>
      cat(
        this.heads.map((head, j) => head.forward(features[j]!, options).flatten(1)),
        1,
      ).to('f32'),
    );
  }

  /** Moves the trunk, too, as a whole. */
  override to(target: { dtype?: Dtype | undefined; device?: Device | undefined }): this {
    this.#trunk.to(target);
    return super.to(target);
  }

  #pixels(images: Tensor): Tensor {
    const [, , H, W] = images.dims(4);
    const { grid, patch } = this.#trunk.options;
    const size = [grid[0] * patch, grid[1] * patch] as const;
    const fitting = !this.resize || (H === size[0] && W === size[1]);
    const x = fitting ? images : upsampleBilinear2d(images, size, { alignCorners: false });
    const perChannel = (values: readonly number[]) =>
      tensor([...values], { shape: [1, values.length, 1, 1], device: images.device });
    return x.mul(perChannel(this.#scale)).add(perChannel(this.#shift));
  }
}

/** Block(1) -> (x + Block(kernel)(x)) / sqrt 2 -> one logit a token. Keys: 0.0, 0.1, 1.fn.0, 1.fn.1, 2. */
class Head extends Module {
  readonly 0: Block;
  readonly 1: { fn: Block };
  readonly 2: HeadConv | SpectralConv;

  constructor(width: number, options: DiscriminatorOptions) {
    super();
    const { kernel = 9, generator } = options;
    this[0] = new Block(width, 1, options);
    this[1] = { fn: new Block(width, kernel, options) };
    this[2] = makeConv({ inputs: width, outputs: 1, kernel: 1, generator }, options);
  }

  forward(x: Tensor, options: SpectralOptions): Tensor {
    const y = this[0].forward(x, options); // [B, D, N]
    const z = this[1].fn.forward(y, options).add(y).mul(Math.SQRT1_2);
    return this[2].forward(z, options); // [B, 1, N]
  }
}

/** Convolution over tokens, normalisation, leaky ReLU. */
class Block extends Module {
  readonly 0: HeadConv | SpectralConv;
  readonly 1: BatchNormLocal | GroupNorm;

  constructor(width: number, kernel: number, options: DiscriminatorOptions) {
    super();
    const { norm = 'bn', eps = 1e-6, generator } = options;
    this[0] = makeConv({ inputs: width, outputs: width, kernel, generator }, options);
    this[1] = norm === 'bn' ? new BatchNormLocal(width, { eps }) : new GroupNorm(32, width, { eps });
  }

  forward(x: Tensor, options: SpectralOptions): Tensor {
    return leakyRelu(this[1].forward(this[0].forward(x, options)), 0.2);
  }
}

function makeConv(options: HeadConvOptions, { spectral = true }: DiscriminatorOptions): HeadConv | SpectralConv {
  return spectral ? new SpectralConv(options) : new HeadConv(options);
}

/** Batch normalisation over "virtual batches" of one sample: each channel over its own tokens, biased variance, no running statistics, float32. */
export class BatchNormLocal extends Module {
  readonly weight: Parameter; // [C]
  readonly bias: Parameter; // [C]
  readonly eps: number;

  constructor(channels: number, { eps = 1e-6 }: { eps?: number } = {}) {
    super();
    this.weight = parameter(ones([channels]));
    this.bias = parameter(zeros([channels]));
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x.to('f32'), x.size(1), this.weight, this.bias, this.eps); // [B, C, N]; a group for each channel
  }
}
