// The Representation Autoencoder (spec 3): a frozen encoder, latent noise in training, latent statistics, the decoder.
// Latents are [B, C, h, w] (or tokens [B, N, C]); pictures are [B, 3, H, W] in [0, 1], not clamped.
// Differs from the reference: statistics of another shape than the latent are an error, not a broadcast; the paper's noise
// sigma ~ |N(0, tau^2)| is an option beside the reference's tau * U(0, 1).

import { buffer, Module } from '../nn/index.ts';
import { type Generator, noGrad, rand, randn, type Tensor, tensor, tidy, upsampleBicubic2d } from '../tensor/index.ts';
import { ArgumentError, ConfigError, ShapeError } from '../util/errors.ts';
import type { Decoder } from './decoder.ts';
import type { Encoder } from './encoders/index.ts';
import { squareSide } from './layers/patches.ts';

/** How the strength of the latent noise is drawn for each sample: tau * U(0, 1), or the paper's tau * |N(0, 1)|. */
export type NoiseKind = 'uniform' | 'half-normal';

export interface RaeOptions {
  encoder: Encoder;
  decoder: Decoder;
  /** Side in pixels of what the encoder sees; other sizes are resized (aspect ratio not kept). */
  encoderInputSize: number;
  noiseTau?: number;
  noise?: NoiseKind;
  /** False: latents stay tokens [B, N, C]. */
  reshapeTo2d?: boolean;
  /** Added to the latent variance. */
  eps?: number;
}

/** Per-position moments of the latents, each [C, h, w]. The released file has no mean; missing means 0 and 1. */
export interface LatentStatistics {
  mean?: Tensor | undefined;
  variance?: Tensor | undefined;
  /** In place of the variance: what latents are divided by, used as it is. */
  std?: Tensor | undefined;
}

export interface EncodeOptions {
  /** Noise strength per sample [B, 1, 1], tau included; drawn when left out. Given or not, it acts only in training. */
  sigma?: Tensor | undefined;
  /** Standard normal noise [B, N, C]; drawn when left out. */
  noise?: Tensor | undefined;
  generator?: Generator | undefined;
}

export class Rae extends Module {
  readonly encoder: Encoder;
  readonly decoder: Decoder;
  readonly encoderInputSize: number;
  readonly noiseTau: number;
  readonly noise: NoiseKind;
  readonly reshapeTo2d: boolean;
  readonly eps: number;
  // Not in state dicts, as in the reference.
  readonly pixelMean: Tensor; // [3, 1, 1]
  readonly pixelStd: Tensor; // [3, 1, 1]
  latentMean: Tensor | undefined; // [C, h, w]
  latentStd: Tensor | undefined; // [C, h, w], sqrt(variance + eps) where no std was given

  constructor(options: RaeOptions) {
    super();
    const { encoder, decoder, encoderInputSize } = options;
    this.encoder = encoder.requiresGrad_(false);
    this.decoder = decoder;
    this.encoderInputSize = encoderInputSize;
    this.noiseTau = options.noiseTau ?? 0.8;
    this.noise = options.noise ?? 'uniform';
    this.reshapeTo2d = options.reshapeTo2d ?? true;
    this.eps = options.eps ?? 1e-5;
    if (encoderInputSize % encoder.patch !== 0) {
      throw new ConfigError(
        `Rae: expected an encoder input size divisible by the patch size ${encoder.patch}, received ${encoderInputSize}. Choose a multiple.`,
      );
    }
    if (decoder.options.channels !== encoder.width) {
      throw new ConfigError(
        `Rae: expected a decoder for ${encoder.width} channels, received one for ${decoder.options.channels}. Both must have the encoder's width.`,
      );
    }
    this.pixelMean = buffer(tensor([...encoder.spec.mean], { dtype: 'f32', shape: [3, 1, 1] }), { persistent: false });
    this.pixelStd = buffer(tensor([...encoder.spec.std], { dtype: 'f32', shape: [3, 1, 1] }), { persistent: false });
  }

  /** Side of the latent grid. */
  get latentSide(): number {
    return this.encoderInputSize / this.encoder.patch;
  }

  /** Shape of one latent: [C, h, w], or [N, C]. */
  get latentShape(): number[] {
    const [C, side] = [this.encoder.width, this.latentSide];
    return this.reshapeTo2d ? [C, side, side] : [side * side, C];
  }

  /**
   * Normalises latents by these moments from now on; without an argument no longer. The tensors are copied.
   * Stage 1 trains without, stage 2 and sampling with. ShapeError unless each has the latent's shape.
   */
  setStatistics({ mean, variance, std }: LatentStatistics = {}): void {
    for (const [name, given] of Object.entries({ mean, variance, std })) {
      if (given && given.shape.join() !== this.latentShape.join()) {
        throw new ShapeError(
          `setStatistics: expected a ${name} of shape [${this.latentShape.join(', ')}], received [${given.shape.join(', ')}]. ` +
            'Statistics belong to one encoder and input size: make them anew with rae stats.',
        );
      }
    }
    const { device } = this.pixelMean;
    const own = (t: Tensor) => buffer(t, { persistent: false });
    const [oldMean, oldStd] = [this.latentMean, this.latentStd];
    noGrad(() => {
      this.latentMean = mean && own(tidy(() => mean.to({ dtype: 'f32', device }).clone()));
      this.latentStd = std
        ? own(tidy(() => std.to({ dtype: 'f32', device }).clone()))
        : variance && own(tidy(() => variance.to({ dtype: 'f32', device }).add(this.eps).sqrt()));
    });
    oldMean?.dispose();
    oldStd?.dispose();
  }

  /**
   * Pictures [B, 3, H, W] in [0, 1] -> latents, without gradient. In training mode noise is added to the raw tokens, before the
   * statistics: sigma is drawn first, then the noise.
   */
  encode(pixels: Tensor, options: EncodeOptions = {}): Tensor {
    return noGrad(() =>
      tidy(() => {
        const x = this.resize(pixels).sub(this.pixelMean).div(this.pixelStd); // [B, 3, S, S]
        const tokens = this.addNoise(this.encoder.forward(x), options); // [B, N, C]
        return this.normalize(this.toLatent(tokens));
      }),
    );
  }

  /** Latents -> pictures [B, 3, H', W']: H' is the decoder's patch times the latent side. Gradients flow. */
  decode(latents: Tensor): Tensor {
    const patches = this.decoder.forward(this.toTokens(this.denormalize(latents))); // [B, N, p*p*3]
    return this.decoder.unpatchify(patches).mul(this.pixelStd).add(this.pixelMean); // [B, 3, H', W']
  }

  /** decode(encode(pixels)). */
  forward(pixels: Tensor, options: EncodeOptions = {}): Tensor {
    return this.decode(this.encode(pixels, options));
  }

  /** What encode does first: bicubic (a = -0.75), no antialias, no clamping; pictures of the right size are returned as they are. */
  resize(pixels: Tensor): Tensor {
    const [, , H, W] = pixels.dims(4);
    const S = this.encoderInputSize;
    return H === S && W === S ? pixels : upsampleBicubic2d(pixels, [S, S], { alignCorners: false, antialias: false });
  }

  private addNoise(tokens: Tensor, { sigma, noise, generator }: EncodeOptions): Tensor {
    if (!this.training || this.noiseTau <= 0) return tokens;
    const [B] = tokens.dims(3);
    const from = { device: tokens.device, ...(generator && { generator }) };
    const strength = sigma ?? this.drawStrength([B, 1, 1], from);
    return tokens.add(strength.mul(noise ?? randn(tokens.shape, from)));
  }

  private drawStrength(shape: number[], from: { generator?: Generator }): Tensor {
    if (this.noise === 'uniform') return rand(shape, from).mul(this.noiseTau);
    if (this.noise === 'half-normal') return randn(shape, from).abs().mul(this.noiseTau);
    throw new ArgumentError(`Rae: expected a noise of 'uniform' or 'half-normal', received '${this.noise}'.`);
  }

  /** Raw latents as the statistics make them; without statistics as they are. */
  normalize(z: Tensor): Tensor {
    const centred = this.latentMean ? z.sub(this.latentMean) : z;
    return this.latentStd ? centred.div(this.latentStd) : centred;
  }

  private denormalize(z: Tensor): Tensor {
    const scaled = this.latentStd ? z.mul(this.latentStd) : z;
    return this.latentMean ? scaled.add(this.latentMean) : scaled;
  }

  private toLatent(tokens: Tensor): Tensor {
    if (!this.reshapeTo2d) return tokens;
    const [B, N, C] = tokens.dims(3);
    const side = squareSide('Rae.encode', N);
    return tokens.transpose(1, 2).reshape([B, C, side, side]);
  }

  private toTokens(latents: Tensor): Tensor {
    return this.reshapeTo2d ? latents.flatten(2, 3).transpose(1, 2) : latents; // [B, N, C]
  }
}
