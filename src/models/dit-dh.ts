// DiT^DH: a diffusion transformer with a wide, shallow head, `DiTwDDTHead` (RAE paper, section 5; reference: stage2/models/DDT.py; spec 8.2).
// A narrow deep encoder turns the noisy latent, time and label into s; two wide blocks then denoise the same latent, modulated per token by s.
// Differs from the reference: patch sizes other than 1, no RoPE, `woShift`, rectangular latents and no class label at all
// (`numClasses: 0`) work; the first three raise there, save that [s, 1] runs with a given s.

import { init, Linear, Module, type Parameter, parameter } from '../nn/index.ts';
import { cut, type Generator, silu, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ArgumentError } from '../util/errors.ts';
import { type BlockOptions, DitBlock, runBlocks } from './layers/dit-block.ts';
import { FinalLayer } from './layers/final-layer.ts';
import { checkInputs, type GridSize, tokenGrid } from './layers/grid.ts';
import { type LabelDropout, LabelEmbedder } from './layers/label-embedder.ts';
import { kernelPatches, PatchEmbedding } from './layers/latent-patches.ts';
import { unpatchify } from './layers/patches.ts';
import { Rope2d } from './layers/rope.ts';
import { sincosTable } from './layers/sincos.ts';
import { TimestepEmbedder } from './layers/timestep-embedder.ts';

// Shapes: B batch, C channels, N tokens of the head, M tokens of the encoder, He and Hd their widths.

export interface DiTwDDTHeadOptions extends BlockOptions {
  inputSize: GridSize;
  /** One size, or [encoder, head]; the encoder's must be a multiple of the head's. */
  patchSize?: number | readonly [encoder: number, head: number];
  inChannels?: number;
  hiddenSize?: readonly [encoder: number, head: number];
  depth?: readonly [encoder: number, head: number];
  numHeads?: number | readonly [encoder: number, head: number];
  classDropoutProb?: number;
  /** 0: unconditional, without a label table. */
  numClasses?: number;
  useRope?: boolean;
  usePosEmbed?: boolean;
  generator?: Generator | undefined;
}

export interface DiTwDDTHeadCall extends LabelDropout {
  /** What `forwardEncoder` gave for this or a nearby time: the encoder is skipped. [B, M, He] with N a multiple of M. */
  s?: Tensor | undefined;
}

export class DiTwDDTHead extends Module {
  readonly pos_embed: Parameter | undefined; // [1, M, He], trained as in the reference
  readonly x_embedder: PatchEmbedding; // of the head
  readonly s_embedder: PatchEmbedding; // of the encoder
  readonly s_projector: Linear | undefined; // none when He = Hd
  readonly t_embedder: TimestepEmbedder;
  readonly y_embedder: LabelEmbedder | undefined;
  readonly enc_feat_rope: Rope2d | undefined;
  readonly dec_feat_rope: Rope2d | undefined;
  readonly blocks: DitBlock[]; // the encoder's, then the head's
  readonly final_layer: FinalLayer;
  readonly inputSize: readonly [height: number, width: number];
  readonly inChannels: number;
  readonly #encoderDepth: number;
  readonly #patches: readonly [encoder: number, head: number];
  readonly #encoderGrid: [rows: number, columns: number];
  readonly #headGrid: [rows: number, columns: number];

  constructor(options: DiTwDDTHeadOptions) {
    super();
    const {
      inputSize,
      patchSize = 1,
      inChannels = 768,
      hiddenSize = [1152, 2048],
      depth = [28, 2],
      numHeads = 16,
    } = options;
    const {
      classDropoutProb = 0.1,
      numClasses = 1000,
      useRope = true,
      useRmsnorm = true,
      usePosEmbed = true,
      generator,
    } = options;
    const [width, headWidth] = hiddenSize;
    const [heads, headHeads] = pair(numHeads);
    const [patch, headPatch] = pair(patchSize);
    if (patch % headPatch !== 0) {
      throw new ArgumentError(
        expected(
          'DiTwDDTHead',
          "an encoder patch size that is a multiple of the head's",
          patchSize,
          'Every token of the head needs one of the encoder.',
        ),
      );
    }
    this.#encoderDepth = depth[0];
    this.#patches = [patch, headPatch];
    this.#encoderGrid = tokenGrid('DiTwDDTHead', inputSize, patch);
    this.#headGrid = tokenGrid('DiTwDDTHead', inputSize, headPatch);
    this.inputSize = [this.#headGrid[0] * headPatch, this.#headGrid[1] * headPatch];
    this.inChannels = inChannels;

    this.pos_embed = usePosEmbed
      ? parameter(tidy(() => sincosTable(width, ...this.#encoderGrid).unsqueeze(0)))
      : undefined;
    this.x_embedder = new PatchEmbedding({ channels: inChannels, patch: headPatch, width: headWidth, generator });
    this.s_embedder = new PatchEmbedding({ channels: inChannels, patch, width, generator });
    this.s_projector = width === headWidth ? undefined : new Linear(width, headWidth, { generator });
    this.t_embedder = new TimestepEmbedder({ width, generator });
    this.y_embedder = LabelEmbedder.orNone({ width, numClasses, dropProbability: classDropoutProb, generator });
    this.enc_feat_rope = useRope ? new Rope2d(width / heads, ...this.#encoderGrid) : undefined;
    this.dec_feat_rope = useRope ? new Rope2d(headWidth / headHeads, ...this.#headGrid) : undefined;
    this.blocks = Array.from({ length: depth[0] + depth[1] }, (_, i) =>
      i < depth[0]
        ? new DitBlock({ ...options, width, heads, generator })
        : new DitBlock({ ...options, width: headWidth, heads: headHeads, generator }),
    );
    this.final_layer = new FinalLayer({
      width: headWidth,
      outputs: headPatch ** 2 * inChannels,
      useRmsnorm,
      generator,
    });
    for (const layer of Object.values(this.t_embedder.mlp)) init.normal_(layer.weight, { std: 0.02, generator }); // other linear layers keep PyTorch's default
  }

  /** The label that means "no class"; undefined where the model was built without label dropout. */
  get nullLabel(): number | undefined {
    return this.y_embedder?.nullLabel;
  }

  /** Velocity [B, C, h, w] at latents x [B, C, h, w], times t [B] in [0, 1], labels y [B] int64 (undefined if unconditional). */
  forward(x: Tensor, t: Tensor, y: Tensor | undefined, { s, ...dropout }: DiTwDDTHeadCall = {}): Tensor {
    checkInputs(this, x, t, y);
    return tidy(() => {
      const [patch, headPatch] = this.#patches;
      const patches = kernelPatches(x, headPatch); // [B, N, C p p]
      const encoded = s ?? this.#encode(patch === headPatch ? patches : kernelPatches(x, patch), t, y, dropout);
      const projected = this.s_projector ? this.s_projector.forward(encoded) : encoded; // [B, M or N, Hd]
      const activated = cut(silu(projected));
      const tokens = cut(this.x_embedder.forward(patches)); // the same noisy latent again, without positions
      const h = runBlocks(this.blocks.slice(this.#encoderDepth), tokens, activated, this.dec_feat_rope);
      return unpatchify(this.final_layer.forward(h, activated), headPatch, { rows: this.#headGrid[0] });
    });
  }

  /**
   * The encoder alone: s [B, N, He] for `forward(x, t, y, { s })`, which may be reused over neighbouring times.
   * Differs from the reference where the encoder's patches are larger (it raises): each s goes to the tokens that it covers.
   */
  forwardEncoder(x: Tensor, t: Tensor, y: Tensor | undefined, dropout: LabelDropout = {}): Tensor {
    checkInputs(this, x, t, y);
    return tidy(() => this.#encode(kernelPatches(x, this.#patches[0]), t, y, dropout));
  }

  #encode(patches: Tensor, t: Tensor, y: Tensor | undefined, dropout: LabelDropout): Tensor {
    return tidy(() => {
      const te = cut(this.t_embedder.forward(t)); // [B, He]
      const condition = silu(this.y_embedder && y ? te.add(this.y_embedder.forward(y, dropout)) : te);
      const activated = cut(silu(condition).unsqueeze(1)); // a second SiLU, as in the reference: the weights were trained so
      const embedded = this.s_embedder.forward(patches);
      const tokens = cut(this.pos_embed ? embedded.add(this.pos_embed) : embedded); // [B, M, He]
      const encoder = this.blocks.slice(0, this.#encoderDepth);
      const s = silu(runBlocks(encoder, tokens, activated, this.enc_feat_rope).add(te.unsqueeze(1)));
      return this.#onHeadGrid(s);
    });
  }

  /** [B, M, He] -> [B, N, He]: every encoder token repeated over the square of head tokens that it covers. */
  #onHeadGrid(s: Tensor): Tensor {
    const [patch, headPatch] = this.#patches;
    if (patch === headPatch) return s;
    const [B, , D] = s.dims(3);
    const ratio = patch / headPatch;
    const square = s.view([B, ...this.#encoderGrid, D]);
    return square.repeatInterleave(ratio, 1).repeatInterleave(ratio, 2).flatten(1, 2);
  }
}

function pair(value: number | readonly [number, number]): readonly [number, number] {
  return typeof value === 'number' ? [value, value] : value;
}

type SizeOptions = Omit<DiTwDDTHeadOptions, 'hiddenSize' | 'depth' | 'numHeads'>;

/** Encoder 384 wide, 12 deep, 6 heads: 196 M parameters at 768 channels. */
export function ditDHS(options: SizeOptions): DiTwDDTHead {
  return new DiTwDDTHead({ ...options, hiddenSize: [384, 2048], depth: [12, 2], numHeads: [6, 16] });
}

/** Encoder 768 wide, 12 deep, 12 heads: 294 M. */
export function ditDHB(options: SizeOptions): DiTwDDTHead {
  return new DiTwDDTHead({ ...options, hiddenSize: [768, 2048], depth: [12, 2], numHeads: [12, 16] });
}

/** Encoder 1024 wide, 24 deep, 16 heads: 622 M. */
export function ditDHL(options: SizeOptions): DiTwDDTHead {
  return new DiTwDDTHead({ ...options, hiddenSize: [1024, 2048], depth: [24, 2], numHeads: [16, 16] });
}

/** Encoder 1152 wide, 28 deep, 16 heads: 839 M, the published model. */
export function ditDHXL(options: SizeOptions): DiTwDDTHead {
  return new DiTwDDTHead({ ...options, hiddenSize: [1152, 2048], depth: [28, 2], numHeads: [16, 16] });
}
