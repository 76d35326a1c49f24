// Masked autoencoder (He et al., 2022): pretrains a ViT encoder on pictures alone, for fields that have no published encoder.
// 75 % of the patches are hidden; the encoder sees the rest; a small decoder predicts the hidden ones, each patch normalised by its
// own mean and variance (norm_pix_loss). Position tables are fixed sine-cosine, as in the paper.
// B batch, N patches, K kept, D width of the encoder, M width of the decoder, p patch side.

import { type InitOptions, init, LayerNorm, Linear, Module, type Parameter, parameter } from '../nn/index.ts';
import { cat, empty, type Generator, noGrad, rand, type Tensor, tidy, zeros } from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { patchify } from './layers/patches.ts';
import { sincosTable } from './layers/sincos.ts';
import { ViTBlock } from './layers/vit-block.ts';
import { ViT, type ViTOptions } from './vit.ts';

export interface MaskedAutoencoderOptions extends InitOptions {
  /** The encoder; it needs a class token and no registers. */
  encoder: ViTOptions;
  decoder: { width: number; depth: number; heads: number; hidden?: number };
  /** Share of patches that are hidden. */
  maskRatio?: number;
  /** Predict each patch in its own mean and variance (default), or plain pixels. */
  normPixLoss?: boolean;
}

export interface MaeForwardOptions {
  /** Permutation of the patches [B, N] (i64): the first K are kept. Drawn when left out. */
  order?: Tensor | undefined;
  generator?: Generator | undefined;
}

export interface MaeOutput {
  /** Mean squared error over hidden patches, 0-d. */
  loss: Tensor;
  /** Predicted patches [B, N, p*p*3], in the space of the normalised targets. */
  predicted: Tensor;
  /** [B, N], 1 where the patch was hidden. */
  mask: Tensor;
}

export class MaskedAutoencoder extends Module {
  readonly encoder: ViT;
  readonly decoder_embed: Linear;
  readonly mask_token: Parameter; // [1, 1, M]
  readonly decoder_pos_embed: Parameter; // [1, 1 + N, M]
  readonly decoder_blocks: ViTBlock[];
  readonly decoder_norm: LayerNorm;
  readonly decoder_pred: Linear;
  readonly maskRatio: number;
  readonly normPixLoss: boolean;

  constructor({ encoder, decoder, maskRatio = 0.75, normPixLoss = true, generator }: MaskedAutoencoderOptions) {
    super();
    if (encoder.classToken === false || (encoder.registers ?? 0) > 0) {
      throw new ArgumentError(
        'MaskedAutoencoder: expected an encoder with a class token and no registers, received another.',
      );
    }
    if (!(maskRatio > 0 && maskRatio < 1)) {
      throw new ArgumentError(`MaskedAutoencoder: expected a mask ratio between 0 and 1, received ${maskRatio}.`);
    }
    const { width, depth, heads, hidden = 4 * width } = decoder;
    const eps = encoder.eps ?? 1e-6;
    this.maskRatio = maskRatio;
    this.normPixLoss = normPixLoss;
    this.encoder = new ViT({ ...encoder, generator });
    this.decoder_embed = new Linear(encoder.width, width, { generator });
    this.mask_token = parameter(empty([1, 1, width]));
    this.decoder_pos_embed = fixedPositions(width, encoder.grid);
    this.decoder_blocks = Array.from(
      { length: depth },
      () => new ViTBlock({ width, heads, hidden, feedForward: 'gelu', layerScale: false, eps, generator }),
    );
    this.decoder_norm = new LayerNorm(width, { eps });
    this.decoder_pred = new Linear(width, encoder.patch ** 2 * (encoder.channels ?? 3), { generator });
    this.initialise({ generator });
  }

  /** Normalised pixels [B, 3, H, W] of the encoder's grid -> loss and predictions. */
  forward(pixels: Tensor, { order, generator }: MaeForwardOptions = {}): MaeOutput {
    const patches = this.encoder.embed(pixels); // [B, N, D]
    const [B, N, D] = patches.dims(3);
    const kept = Math.floor(N * (1 - this.maskRatio)); // K
    const shuffle = order ?? randomOrder([B, N], pixels, generator); // [B, N]
    if (shuffle.shape.join() !== [B, N].join()) {
      throw new ShapeError(
        `MaskedAutoencoder: expected an order of shape [${B}, ${N}], received [${shuffle.shape.join(', ')}].`,
      );
    }
    const restore = shuffle.argsort(1); // [B, N]

    const visible = patches.gather(1, alongWidth(shuffle.slice(1, 0, kept), D)); // [B, K, D]
    const encoded = this.encoder.transform(this.encoder.withPrefix(visible)); // [B, 1 + K, D]
    const predicted = this.decode(encoded, restore); // [B, N, p*p*3]

    const mask = restore.ge(kept).to(pixels.dtype); // [B, N]
    const target = noGrad(() => this.#target(pixels)); // [B, N, p*p*3]
    const error = predicted.sub(target).square().mean([-1]); // [B, N]
    return { loss: error.mul(mask).sum().div(mask.sum()), predicted, mask };
  }

  #target(pixels: Tensor): Tensor {
    const { patch } = this.encoder.options;
    return this.normPixLoss ? normalizedPatches(pixels, patch) : patchify(pixels, patch); // [B, N, p*p*3]
  }

  /** Visible tokens [B, 1 + K, D] -> all patches [B, N, p*p*3]; mask tokens stand for the hidden ones. */
  private decode(encoded: Tensor, restore: Tensor): Tensor {
    const x = this.decoder_embed.forward(encoded); // [B, 1 + K, M]
    const [B, visible, M] = x.dims(3);
    const N = restore.size(1);
    const hidden = this.mask_token.expand([B, N + 1 - visible, M]);
    const shuffled = cat([x.slice(1, 1), hidden.to(x.dtype)], 1); // [B, N, M]
    const patches = shuffled.gather(1, alongWidth(restore, M)); // back in place
    let y = cat([x.slice(1, 0, 1), patches], 1).add(this.decoder_pos_embed); // [B, 1 + N, M]
    for (const block of this.decoder_blocks) y = tidy(() => block.forward(y));
    return this.decoder_pred.forward(this.decoder_norm.forward(y)).slice(1, 1); // [B, N, p*p*3]
  }

  /** As the paper's code: Xavier for every matrix (kernels read as matrices), N(0, 0.02) for tokens, zero biases. */
  private initialise({ generator }: InitOptions): void {
    for (const [, module] of this.namedModules()) {
      if (!(module instanceof Linear)) continue;
      init.xavierUniform_(module.weight, { generator });
      if (module.bias) init.zeros_(module.bias);
    }
    const { patch_embed, cls_token, pos_embed, options } = this.encoder;
    init.xavierUniform_(patch_embed.proj.weight, { flat: true, generator });
    if (cls_token) init.normal_(cls_token, { std: 0.02, generator });
    init.normal_(this.mask_token, { std: 0.02, generator });
    const fixed = fixedPositions(options.width, options.grid);
    noGrad(() => pos_embed!.setRequiresGrad(false).copy_(fixed));
    fixed.dispose();
  }
}

/** A zero row for the class token, then the sine-cosine table: [1, 1 + N, width]. Saved, not trained. */
function fixedPositions(width: number, [rows, columns]: ViTOptions['grid']): Parameter {
  const table = tidy(() => cat([zeros([1, width]), sincosTable(width, rows, columns)], 0).unsqueeze(0));
  return parameter(table, { requiresGrad: false });
}

/** A random permutation for each sample: the order of uniform numbers. */
function randomOrder(shape: [number, number], like: Tensor, generator: Generator | undefined): Tensor {
  return rand(shape, { device: like.device, ...(generator && { generator }) }).argsort(1);
}

/** Indices [B, K] -> [B, K, width], for gather along tokens. */
function alongWidth(index: Tensor, width: number): Tensor {
  const [B, K] = index.dims(2);
  return index.unsqueeze(-1).expand([B, K, width]);
}

/** Patches of the picture, each minus its mean and over its standard deviation (unbiased variance + 1e-6): [B, N, p*p*3]. */
function normalizedPatches(pixels: Tensor, patch: number): Tensor {
  const patches = patchify(pixels, patch);
  const mean = patches.mean([-1], { keepdim: true });
  const variance = patches.var([-1], { correction: 1, keepdim: true });
  return patches.sub(mean).div(variance.add(1e-6).sqrt());
}
