// The discriminator's DINO v1 trunk as the reference loads it (spec 6.1): timm's keys, tanh-GELU although DINO was trained with the exact one,
// the key third of every attention bias set to 0, the final norm left out.

import { skipInit } from '../nn/index.ts';
import { noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { squareSide } from './layers/patches.ts';
import { ViT, type ViTOptions } from './vit.ts';

export interface DinoTrunkOptions {
  /** Attention heads; width / 64 when left out, as all of DINO's have it. */
  heads?: number;
  eps?: number;
}

/** Sizes of DINO's published trunks, by the names of the reference's recipes. */
export const dinoRecipes = {
  S_8: { width: 384, depth: 12, heads: 6, patch: 8 },
  S_16: { width: 384, depth: 12, heads: 6, patch: 16 },
  B_16: { width: 768, depth: 12, heads: 12, patch: 16 },
  B_8: { width: 768, depth: 12, heads: 12, patch: 8 }, // published too, though no recipe of the reference
} as const;

/** Options of a DINO trunk for pictures of side 224 (or `side`). */
export function dinoOptions(
  sizes: { width: number; depth: number; heads: number; patch: number; eps?: number },
  side = 224,
): ViTOptions {
  const cells = Math.floor(side / sizes.patch);
  return {
    ...sizes,
    hidden: 4 * sizes.width,
    grid: [cells, cells],
    feedForward: 'gelu_pytorch_tanh',
    finalNorm: 'none',
  };
}

/** The trunk from a state dict in timm's names (`dino_vit_small_patch8_224.pth`, DeiT, ...), frozen; sizes are read off the shapes. */
export function dinoTrunkFromState(
  state: ReadonlyMap<string, Tensor>,
  { heads, eps = 1e-6 }: DinoTrunkOptions = {},
): ViT {
  const patchWeight = state.get('patch_embed.proj.weight');
  const positions = state.get('pos_embed');
  if (!patchWeight || !positions)
    throw new WeightsError(
      expected(
        'dinoTrunkFromState',
        "a ViT in timm's names (patch_embed.proj.weight, pos_embed)",
        [...state.keys()].slice(0, 3),
      ),
    );
  const [width = 0, , patch = 0] = patchWeight.shape;
  const depth = new Set([...state.keys()].flatMap((key) => /^blocks\.(\d+)\./.exec(key)?.[1] ?? [])).size;
  const side = squareSide('dinoTrunkFromState', positions.size(1) - 1) * patch;
  const sizes = { width, depth, heads: heads ?? Math.max(1, Math.round(width / 64)), patch, eps };
  const trunk = skipInit(() => new ViT(dinoOptions(sizes, side)));
  trunk.loadStateDict(new Map([...state].filter(([key]) => !/^(norm|head(_dist)?)\./.test(key))));
  zeroKeyBiases(trunk);
  return trunk.eval().requiresGrad_(false);
}

function zeroKeyBiases(trunk: ViT): void {
  const { width } = trunk.options;
  noGrad(() =>
    tidy(() => {
      for (const { attn } of trunk.blocks) attn.qkv.bias?.narrow(0, width, width).zero_(); // rows: queries, keys, values
    }),
  );
}
