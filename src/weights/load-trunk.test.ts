import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { saveSafetensors } from '../io/safetensors.ts';
import { dinoOptions, dinoRecipes } from '../models/dino-trunk.ts';
import { ViT } from '../models/vit.ts';
import { skipInit } from '../nn/index.ts';
import { ones, tidy } from '../tensor/index.ts';
import { saveEncoder } from './load-encoder.ts';
import { loadTrunk, trunkFromState } from './load-trunk.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-trunk-'));
const small = { width: 64, depth: 2, heads: 1, patch: 8 };

test("DINO's weights are loaded as the reference does: tanh-GELU, no key bias", () => {
  tidy(() => {
    const vit = skipInit(() => new ViT(dinoOptions(dinoRecipes.S_16)));
    for (const block of vit.blocks) block.attn.qkv.bias!.detach().fill_(1);
    const trunk = trunkFromState(vit.stateDict());
    const bias = trunk.vit.blocks[3]!.attn.qkv.bias!;
    expect([trunk.spec.family, trunk.vit.options.feedForward]).toEqual(['dino', 'gelu_pytorch_tanh']);
    expect([0, 384, 767, 768].map((i) => bias.select(0, i).item())).toEqual([1, 0, 0, 1]);
    for (const { vit: of } of [trunk, { vit }]) of.dispose();
  });
});

test("other ViTs, and DINO's sizes with a classifier (DeiT), are taken as they are", () => {
  const path = join(folder, 'timm.safetensors');
  const vit = new ViT({ ...dinoOptions(small, 32), finalNorm: 'affine' });
  saveSafetensors(path, new Map([...vit.stateDict(), ['head.weight', ones([3, 64])]]));
  const trunk = loadTrunk(path);
  expect([trunk.spec.family, trunk.vit.options.feedForward]).toEqual(['deit', 'gelu']);
});

test('a kept trunk comes back with its activation and pixel scale', () => {
  const path = join(folder, 'disc.safetensors');
  const vit = new ViT(dinoOptions(small, 32));
  saveEncoder(path, vit, { family: 'dino', vit: vit.options, mean: [0, 0, 0], std: [1, 1, 1] });
  const { vit: again, spec } = loadTrunk(path);
  expect([again.options.feedForward, spec.mean]).toEqual(['gelu_pytorch_tanh', [0, 0, 0]]);
  const own = again.stateDict();
  for (const [key, t] of vit.stateDict()) expect(own.get(key)!.toNumbers()).toEqual(t.toNumbers());
});

test('a trunk that does not exist is refused', () => {
  expect(() => loadTrunk(join(folder, 'none.pth'))).toThrow(/an existing file or folder.*Check --disc/);
});
