// The decoder of stage 1: a ViT from latent tokens to pixels (reference: GeneralDecoder, in the manner of ViT-MAE; spec 4).
// Parameters keep the reference's names. decoder_pos_embed is trained by the reference although it begins as a fixed table: it
// comes from the checkpoint and is never recomputed.
// B batch, L tokens given, N tokens of the decoder's grid, C latent width, D width, H heads, d head width, p patch side.

import {
  attention,
  type InitOptions,
  LayerNorm,
  Linear,
  Module,
  mergeHeads,
  type Parameter,
  parameter,
  splitHeads,
} from '../nn/index.ts';
import {
  canFuseForward,
  cat,
  cut,
  gelu,
  recomputed,
  type Tensor,
  tidy,
  upsampleBilinear2d,
  vitBlock,
  zeros,
} from '../tensor/index.ts';
import { squareSide, unpatchify } from './layers/patches.ts';
import { sincosTable } from './layers/sincos.ts';
import { weightAndBias } from './layers/vit-block.ts';

export interface DecoderOptions {
  /** C, the encoder's width. */
  channels: number;
  width: number;
  depth: number;
  heads: number;
  /** Hidden width of the feed-forward. */
  hidden: number;
  /** Side of an output patch in pixels. */
  patch: number;
  /** N, a square number. */
  tokens: number;
  eps?: number;
}

export class Decoder extends Module {
  readonly decoder_pos_embed: Parameter; // [1, 1 + N, D], row 0 of the class token is zero at the start
  readonly trainable_cls_token: Parameter; // [1, 1, D]
  readonly decoder_embed: Linear;
  readonly decoder_layers: DecoderLayer[];
  readonly decoder_norm: LayerNorm;
  readonly decoder_pred: Linear;
  readonly options: Required<DecoderOptions>;

  constructor({ generator, ...given }: DecoderOptions & InitOptions) {
    super();
    const o: Required<DecoderOptions> = { eps: 1e-12, ...given };
    const side = squareSide('Decoder', o.tokens);
    this.options = o;
    this.decoder_pos_embed = parameter(positions(o.width, side));
    this.trainable_cls_token = parameter(zeros([1, 1, o.width]));
    this.decoder_embed = new Linear(o.channels, o.width, { generator });
    this.decoder_layers = Array.from({ length: o.depth }, () => new DecoderLayer({ ...o, generator }));
    this.decoder_norm = new LayerNorm(o.width, { eps: o.eps });
    this.decoder_pred = new Linear(o.width, o.patch ** 2 * 3, { generator });
  }

  /** Tokens [B, L, C] -> patches [B, N, p*p*3] in the encoder's normalised pixel space. L may be any square number. */
  forward(tokens: Tensor): Tensor {
    const [B] = tokens.dims(3);
    const embedded = this.toGrid(this.decoder_embed.forward(tokens)); // [B, N, D]
    const front = this.trainable_cls_token.expand([B, 1, this.options.width]);
    let x = cut(cat([front, embedded], 1).add(this.decoder_pos_embed)); // [B, 1 + N, D]
    for (const layer of this.decoder_layers) {
      const next = tidy(() => recomputed([x], (h) => layer.forward(h))); // [B, 1 + N, D]
      x.dispose();
      x = next;
    }
    return this.decoder_pred.forward(this.decoder_norm.forward(x)).slice(1, 1); // [B, N, p*p*3]
  }

  /** Patches [B, N, p*p*3] -> pictures [B, 3, p*sqrt(N), p*sqrt(N)]. */
  unpatchify(patches: Tensor): Tensor {
    return unpatchify(patches, this.options.patch);
  }

  /** [B, L, D] -> [B, N, D], bilinear without antialias where L is not N; after the embedding, as in the reference. */
  private toGrid(x: Tensor): Tensor {
    const [B, L, D] = x.dims(3);
    const { tokens } = this.options;
    if (L === tokens) return x;
    const [from, to] = [squareSide('Decoder', L), Math.sqrt(tokens)];
    const plane = x.transpose(1, 2).reshape([B, D, from, from]);
    return upsampleBilinear2d(plane, [to, to], { alignCorners: false }) // [B, D, to, to]
      .flatten(2, 3)
      .transpose(1, 2);
  }
}

/** h += dense(attention(before(h))); h += output(gelu(intermediate(after(h)))). Keys of Hugging Face's ViTLayer. */
class DecoderLayer extends Module {
  readonly attention: { attention: { query: Linear; key: Linear; value: Linear }; output: { dense: Linear } };
  readonly intermediate: { dense: Linear };
  readonly output: { dense: Linear };
  readonly layernorm_before: LayerNorm;
  readonly layernorm_after: LayerNorm;
  readonly heads: number;

  constructor({ width, heads, hidden, eps, generator }: Required<DecoderOptions> & InitOptions) {
    super();
    const dense = (inputs: number, outputs: number) => new Linear(inputs, outputs, { generator });
    this.attention = {
      attention: { query: dense(width, width), key: dense(width, width), value: dense(width, width) },
      output: { dense: dense(width, width) },
    };
    this.intermediate = { dense: dense(width, hidden) };
    this.output = { dense: dense(hidden, width) };
    this.layernorm_before = new LayerNorm(width, { eps });
    this.layernorm_after = new LayerNorm(width, { eps });
    this.heads = heads;
  }

  forward(h: Tensor): Tensor {
    const { layernorm_before: before, layernorm_after: after, attention: maps } = this;
    if (!canFuseForward(h, before.weight!)) return this.#composed(h);
    const { query, key, value } = maps.attention;
    return vitBlock(h, {
      norms: [before, after].flatMap(weightAndBias),
      qkv: [query, key, value].flatMap(weightAndBias),
      layers: [maps.output.dense, this.intermediate.dense, this.output.dense].flatMap(weightAndBias),
      heads: this.heads,
      eps: before.eps,
      gelu: 'exact',
    });
  }

  #composed(h: Tensor): Tensor {
    const { query, key, value } = this.attention.attention;
    const x = this.layernorm_before.forward(h); // [B, 1 + N, D]
    const [q, k, v] = [query, key, value].map((map) => splitHeads(map.forward(x), this.heads)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const attended = h.add(this.attention.output.dense.forward(mergeHeads(attention(q, k, v)))); // [B, 1 + N, D]
    const fed = gelu(this.intermediate.dense.forward(this.layernorm_after.forward(attended))); // [B, 1 + N, hidden]
    return attended.add(this.output.dense.forward(fed));
  }
}

/** [1, 1 + side*side, D]: a zero row for the class token, then the fixed table. */
function positions(width: number, side: number): Tensor {
  return tidy(() => cat([zeros([1, width]), sincosTable(width, side, side)], 0).unsqueeze(0));
}

type SizeOptions = Pick<DecoderOptions, 'channels' | 'patch' | 'tokens'> & InitOptions;

export const decoderViTB = (options: SizeOptions) =>
  new Decoder({ width: 768, depth: 12, heads: 12, hidden: 3072, ...options });
export const decoderViTL = (options: SizeOptions) =>
  new Decoder({ width: 1024, depth: 24, heads: 16, hidden: 4096, ...options });
/** Hidden width 4096, not 4 * 1152; heads of 72. */
export const decoderViTXL = (options: SizeOptions) =>
  new Decoder({ width: 1152, depth: 28, heads: 16, hidden: 4096, ...options });
