import { expect, test } from 'vitest';
import { Generator, rand, type Tensor } from '../tensor/index.ts';
import { dinoOptions, dinoTrunkFromState } from './dino-trunk.ts';
import { Discriminator } from './discriminator.ts';
import { SpectralConv } from './layers/head-conv.ts';
import { ViT } from './vit.ts';

const sizes = { width: 32, depth: 3, heads: 2, patch: 8 };
const trunk = () => new ViT(dinoOptions(sizes, 32));
const pictures = rand([2, 3, 32, 32], { generator: new Generator(1) })
  .mul(2)
  .sub(1);

test('logits are a head for the last block and for each key block, over the patches', () => {
  const disc = new Discriminator({ trunk: trunk(), keyDepths: [0, 1] });
  expect(disc.forward(pictures).shape).toEqual([2, 3 * 16]);
});

test('the trunk is frozen and stays out of the state dict', () => {
  const t = trunk();
  const disc = new Discriminator({ trunk: t, keyDepths: [1] });
  expect([...disc.stateDict().keys()].every((key) => key.startsWith('heads.'))).toBe(true);
  expect(t.parameters().some((p) => p.requiresGrad)).toBe(false);
});

test('spectral vectors move in training mode only, and not when told to wait', () => {
  const conv = new SpectralConv({ inputs: 4, outputs: 5, kernel: 3 });
  const x = rand([1, 4, 7]);
  const u = () => conv.weight_u.toNumbers();
  const before = u();
  conv.eval().forward(x);
  conv.train().forward(x, { iterate: false });
  expect(u()).toEqual(before);
  conv.forward(x);
  expect(u()).not.toEqual(before);
});

test('features and heads apart give the logits of forward', () => {
  const disc = new Discriminator({ trunk: trunk(), keyDepths: [0] }).eval();
  expect(disc.judge(disc.features(pictures)).toNumbers()).toEqual(disc.forward(pictures).toNumbers());
});

test('pictures keep their resolution when asked', () => {
  const large = rand([1, 3, 64, 64]);
  const kept = new Discriminator({ trunk: trunk(), keyDepths: [], resize: false });
  expect(kept.forward(large).shape).toEqual([1, 64]);
  expect(new Discriminator({ trunk: trunk(), keyDepths: [] }).forward(large).shape).toEqual([1, 16]);
});

test('a DINO state dict loads with its key biases zeroed and without its final norm', () => {
  const affine = new ViT({ ...dinoOptions(sizes, 32), finalNorm: 'affine' });
  for (const { attn } of affine.blocks) attn.qkv.bias!.detach().fill_(1);
  const loaded = dinoTrunkFromState(affine.stateDict(), { heads: 2 });
  const bias = loaded.blocks[0]!.attn.qkv.bias as Tensor;
  expect(bias.toNumbers()).toEqual([...Array(32).fill(1), ...Array(32).fill(0), ...Array(32).fill(1)]);
  expect(loaded.norm).toBeUndefined();
});

test('impossible trunks are refused', () => {
  expect(() => new Discriminator({ trunk: trunk(), keyDepths: [3] })).toThrow(
    /blocks of the trunk, 0 to 2, received 3/,
  );
  expect(() => dinoTrunkFromState(new Map())).toThrow(/timm's names/);
});
