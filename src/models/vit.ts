// The one Vision Transformer: DINOv2 (with and without registers), DINOv3, SigLIP2, MAE, DeiT and the DINO trunk are this class with options.
// Parameters keep timm's names; adapters in src/weights translate the others. Spec 2.
// B batch, N patch tokens, P prefix tokens (class, then registers), D width.

import { type InitOptions, init, LayerNorm, Module, type Parameter, parameter } from '../nn/index.ts';
import { cat, empty, type Tensor, tidy } from '../tensor/index.ts';
import { PatchEmbed } from './layers/patch-embed.ts';
import { checkHeadDim, patchRotation, type Rotation } from './layers/patch-rope.ts';
import { type Grid, resizeTable, type TableResize } from './layers/position-table.ts';
import { type FeedForward, ViTBlock } from './layers/vit-block.ts';

export interface ViTOptions {
  width: number;
  depth: number;
  heads: number;
  /** Hidden width of the feed-forward. */
  hidden: number;
  /** Side of a patch in pixels. */
  patch: number;
  /** Rows and columns that the stored position table covers; with rotary positions, those it is used at. */
  grid: Grid;
  /** A learned table added to the patches, or rotations of queries and keys (DINOv3). */
  positions?: 'table' | 'rotary';
  /** Longest period of rotary positions. */
  ropeBase?: number;
  channels?: number;
  classToken?: boolean;
  /** Register tokens, placed after the class token, without position. */
  registers?: number;
  layerScale?: boolean;
  feedForward?: FeedForward;
  eps?: number;
  /** How the position table is brought to another grid. */
  tableResize?: TableResize;
  /** The norm after the last block: with weight and bias, without them (the rule of RAE's encoders), or none. */
  finalNorm?: 'affine' | 'plain' | 'none';
}

export interface ViTForwardOptions {
  /** Called with the tokens [B, P + N, D] after the embedding (-1) and after every block (0...). They are borrowed. */
  onBlock?: ((index: number, tokens: Tensor) => void) | undefined;
  /** How many blocks are run, all when left out: for those who look at inner ones only. */
  blocks?: number | undefined;
}

export class ViT extends Module {
  readonly cls_token: Parameter | undefined; // [1, 1, D]
  readonly reg_token: Parameter | undefined; // [1, registers, D]
  readonly pos_embed: Parameter | undefined; // [1, (class) + rows*columns, D]; none with rotary positions
  readonly patch_embed: PatchEmbed;
  readonly blocks: ViTBlock[];
  readonly norm: LayerNorm | undefined;
  readonly options: Required<ViTOptions>;

  constructor(options: ViTOptions & InitOptions) {
    super();
    const { generator, ...given } = options;
    const o: Required<ViTOptions> = { ...defaults, ...given };
    const { width, classToken, registers, finalNorm } = o;
    const token = (count: number) => parameter(init.truncNormal_(empty([1, count, width]), { std: 0.02, generator }));
    this.options = o;
    this.cls_token = classToken ? token(1) : undefined;
    this.reg_token = registers > 0 ? token(registers) : undefined;
    if (o.positions === 'rotary') checkHeadDim(width / o.heads);
    this.pos_embed = o.positions === 'table' ? token(Number(classToken) + o.grid[0] * o.grid[1]) : undefined;
    this.patch_embed = new PatchEmbed({ patch: o.patch, channels: o.channels, width, generator });
    this.blocks = Array.from({ length: o.depth }, () => new ViTBlock({ ...o, generator }));
    this.norm = finalNorm === 'none' ? undefined : new LayerNorm(width, { eps: o.eps, affine: finalNorm === 'affine' });
  }

  /** P: how many tokens stand before the patches. */
  get prefix(): number {
    return Number(this.options.classToken) + this.options.registers;
  }

  /** Normalised pixels [B, 3, H, W] -> tokens [B, P + N, D] after the final norm. Sides must be multiples of the patch. */
  forward(pixels: Tensor, options: ViTForwardOptions = {}): Tensor {
    return this.transform(
      tidy(() => this.withPrefix(this.embed(pixels))),
      { ...options, rotation: this.rotation(this.patch_embed.grid(pixels)) },
    );
  }

  /** The turns of queries and keys on a grid; undefined where positions are a table. */
  private rotation(grid: Grid): Rotation | undefined {
    const { positions, width, heads, ropeBase: base } = this.options;
    if (positions !== 'rotary') return undefined;
    return tidy(() => patchRotation(grid, { headDim: width / heads, base, prefix: this.prefix }));
  }

  /** Patches with their positions: [B, 3, H, W] -> [B, N, D]. */
  embed(pixels: Tensor): Tensor {
    const grid = this.patch_embed.grid(pixels);
    const { classToken, grid: stored, tableResize } = this.options;
    const tokens = this.patch_embed.forward(pixels); // [B, N, D]
    if (this.pos_embed === undefined) return tokens;
    const table = classToken ? this.pos_embed.slice(1, 1) : this.pos_embed; // [1, rows*columns, D]
    return tokens.add(resizeTable(table, stored, grid, tableResize)); // [B, N, D]
  }

  /** Puts the class token (with its position) and the registers in front: [B, N, D] -> [B, P + N, D]. */
  withPrefix(tokens: Tensor): Tensor {
    const [B, , D] = tokens.dims(3);
    const front: Tensor[] = [];
    const position = this.pos_embed?.slice(1, 0, 1); // [1, 1, D]
    if (this.cls_token) front.push((position ? this.cls_token.add(position) : this.cls_token).expand([B, 1, D]));
    if (this.reg_token) front.push(this.reg_token.expand([B, this.options.registers, D]));
    return front.length > 0 ? cat([...front, tokens], 1) : tokens;
  }

  /** The blocks and the final norm: [B, P + N, D] -> [B, P + N, D]. */
  transform(
    tokens: Tensor,
    { onBlock, blocks = this.blocks.length, rotation }: ViTForwardOptions & { rotation?: Rotation | undefined } = {},
  ): Tensor {
    let x = tokens;
    onBlock?.(-1, x);
    for (const [index, block] of this.blocks.slice(0, blocks).entries()) {
      const next = tidy(() => block.forward(x, rotation)); // [B, P + N, D]; a block's intermediates go at its end, which is also faster
      if (x !== tokens) x.dispose();
      x = next;
      onBlock?.(index, x);
    }
    return this.norm?.forward(x) ?? x;
  }
}

const defaults = {
  channels: 3,
  positions: 'table',
  ropeBase: 100,
  classToken: true,
  registers: 0,
  layerScale: false,
  feedForward: 'gelu',
  eps: 1e-6,
  tableResize: 'bicubic-antialias',
  finalNorm: 'affine',
} as const satisfies Partial<ViTOptions>;
