// LightningDiT: the plain diffusion transformer that DiT^DH is compared with (RAE paper, section 4; reference: stage2/models/lightningDiT.py; spec 8.3).
// Differs from the reference: rectangular latents, no class label at all (`numClasses: 0`), and `woShift`, which raises there, work.

import { init, Linear, Module, type Parameter, parameter } from '../nn/index.ts';
import { cut, type Generator, silu, type Tensor, tidy } from '../tensor/index.ts';
import { type BlockOptions, DitBlock, runBlocks } from './layers/dit-block.ts';
import { FinalLayer } from './layers/final-layer.ts';
import { checkInputs, type GridSize, tokenGrid } from './layers/grid.ts';
import { type LabelDropout, LabelEmbedder } from './layers/label-embedder.ts';
import { kernelPatches, PatchEmbedding } from './layers/latent-patches.ts';
import { unpatchify } from './layers/patches.ts';
import { Rope2d } from './layers/rope.ts';
import { sincosTable } from './layers/sincos.ts';
import { TimestepEmbedder } from './layers/timestep-embedder.ts';

// Shapes: B batch, C channels, N tokens, D width.

export interface LightningDiTOptions extends BlockOptions {
  inputSize: GridSize;
  patchSize?: number;
  inChannels: number;
  hiddenSize?: number;
  depth?: number;
  numHeads?: number;
  classDropoutProb?: number;
  /** 0: unconditional, without a label table. */
  numClasses?: number;
  /** Twice the output channels, the second half discarded. */
  learnSigma?: boolean;
  useRope?: boolean;
  generator?: Generator | undefined;
}

export class LightningDiT extends Module {
  readonly x_embedder: PatchEmbedding;
  readonly t_embedder: TimestepEmbedder;
  readonly y_embedder: LabelEmbedder | undefined;
  readonly pos_embed: Parameter; // [1, N, D], trained as in the reference
  readonly feat_rope: Rope2d | undefined;
  readonly blocks: DitBlock[];
  readonly final_layer: FinalLayer;
  readonly inputSize: readonly [height: number, width: number];
  readonly inChannels: number;
  readonly #patch: number;
  readonly #grid: [rows: number, columns: number];

  constructor(options: LightningDiTOptions) {
    super();
    const {
      inputSize,
      patchSize = 1,
      inChannels,
      hiddenSize: width = 1152,
      depth = 28,
      numHeads: heads = 16,
      generator,
    } = options;
    const {
      classDropoutProb = 0.1,
      numClasses = 1000,
      learnSigma = false,
      useRope = true,
      useRmsnorm = true,
    } = options;
    this.#patch = patchSize;
    this.#grid = tokenGrid('LightningDiT', inputSize, patchSize);
    this.inputSize = [this.#grid[0] * patchSize, this.#grid[1] * patchSize];
    this.inChannels = inChannels;
    const outputs = patchSize ** 2 * inChannels * (learnSigma ? 2 : 1);

    this.x_embedder = new PatchEmbedding({ channels: inChannels, patch: patchSize, width, generator });
    this.t_embedder = new TimestepEmbedder({ width, generator });
    this.y_embedder = LabelEmbedder.orNone({ width, numClasses, dropProbability: classDropoutProb, generator });
    this.pos_embed = parameter(tidy(() => sincosTable(width, ...this.#grid).unsqueeze(0)));
    this.feat_rope = useRope ? new Rope2d(width / heads, ...this.#grid) : undefined;
    this.blocks = Array.from({ length: depth }, () => new DitBlock({ ...options, width, heads, generator }));
    this.final_layer = new FinalLayer({ width, outputs, useRmsnorm, generator });
    this.#initialise(generator);
  }

  /** The label that means "no class"; undefined where the model was built without label dropout. */
  get nullLabel(): number | undefined {
    return this.y_embedder?.nullLabel;
  }

  /** Velocity [B, C, h, w] at latents x [B, C, h, w], times t [B] in [0, 1], labels y [B] int64 (undefined if unconditional). */
  forward(x: Tensor, t: Tensor, y: Tensor | undefined, dropout: LabelDropout = {}): Tensor {
    checkInputs(this, x, t, y);
    return tidy(() => {
      const tokens = cut(this.x_embedder.forward(kernelPatches(x, this.#patch)).add(this.pos_embed)); // [B, N, D]
      const te = this.t_embedder.forward(t); // [B, D]
      const condition = this.y_embedder && y ? te.add(this.y_embedder.forward(y, dropout)) : te;
      const activated = cut(silu(condition).unsqueeze(1)); // [B, 1, D]
      const h = runBlocks(this.blocks, tokens, activated, this.feat_rope);
      const out = unpatchify(this.final_layer.forward(h, activated), this.#patch, { rows: this.#grid[0] });
      return out.size(1) === this.inChannels ? out : out.narrow(1, 0, this.inChannels);
    });
  }

  /** Differs from DiT^DH: Xavier-uniform with zero bias on every linear layer, except those that start at zero. */
  #initialise(generator: Generator | undefined): void {
    for (const [path, module] of this.namedModules()) {
      if (!(module instanceof Linear) || /adaLN_modulation|final_layer/.test(path)) continue;
      init.xavierUniform_(module.weight, { generator });
      init.zeros_(module.bias!);
    }
    for (const layer of Object.values(this.t_embedder.mlp)) init.normal_(layer.weight, { std: 0.02, generator });
  }
}

type SizeOptions = Omit<LightningDiTOptions, 'hiddenSize' | 'depth' | 'numHeads'>;

/** 384 wide, 12 deep, 6 heads: 33.65 M parameters at 768 channels. */
export function ditS(options: SizeOptions): LightningDiT {
  return new LightningDiT({ ...options, hiddenSize: 384, depth: 12, numHeads: 6 });
}

/** 768 wide, 12 deep, 12 heads: 131.9 M. */
export function ditB(options: SizeOptions): LightningDiT {
  return new LightningDiT({ ...options, hiddenSize: 768, depth: 12, numHeads: 12 });
}

/** 1024 wide, 24 deep, 16 heads: 459.9 M. */
export function ditL(options: SizeOptions): LightningDiT {
  return new LightningDiT({ ...options, hiddenSize: 1024, depth: 24, numHeads: 16 });
}

/** 1152 wide, 28 deep, 16 heads: 677.2 M. */
export function ditXL(options: SizeOptions): LightningDiT {
  return new LightningDiT({ ...options, hiddenSize: 1152, depth: 28, numHeads: 16 });
}
