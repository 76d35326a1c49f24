import { expect, test } from 'vitest';
import { noGrad, randn, tidy } from '../tensor/index.ts';
import { patchify, unpatchify } from './layers/patches.ts';
import { resizeTable } from './layers/position-table.ts';
import { ViT } from './vit.ts';

const tiny = { width: 16, depth: 2, heads: 2, hidden: 32, patch: 4, grid: [3, 3] } as const;

test('tokens stand in the order class, registers, patches, and registers have no position', () => {
  const vit = new ViT({ ...tiny, registers: 2, depth: 0, finalNorm: 'none' });
  const tokens = noGrad(() => vit.forward(randn([1, 3, 12, 12])));
  expect(tokens.shape).toEqual([1, 1 + 2 + 9, 16]);
  expect(tokens.slice(1, 1, 3).toNumbers()).toEqual(vit.reg_token!.toNumbers());
});

test('any size that divides by the patch is accepted, rectangles included', () => {
  const vit = new ViT(tiny);
  tidy(() => expect(vit.forward(randn([1, 3, 8, 20])).shape).toEqual([1, 1 + 10, 16]));
  expect(() => vit.forward(randn([1, 3, 12, 14]))).toThrow(
    'PatchEmbed: expected sides divisible by the patch size 4, received 12 x 14. Resize the images.',
  );
});

test('the position table of the stored grid is used as it is', () => {
  const table = randn([1, 9, 16]);
  expect(resizeTable(table, [3, 3], [3, 3], 'bicubic')).toBe(table);
});

test('the two kernels of the position table differ, so that mixing them up cannot pass', () => {
  const table = randn([1, 64, 4]);
  const [soft, sharp] = (['bicubic-antialias', 'bicubic'] as const).map((r) => resizeTable(table, [8, 8], [4, 4], r));
  expect(soft!.sub(sharp!).abs().max().item()).toBeGreaterThan(0.05);
});

test('heads that do not divide the width are refused', () => {
  expect(() => new ViT({ ...tiny, heads: 3 })).toThrow(/divisible by the number of heads, received 16 and 3/);
});

test('unpatchify undoes patchify, also for rectangles', () => {
  const images = randn([2, 3, 8, 12]);
  const patches = patchify(images, 4);
  expect(patches.shape).toEqual([2, 6, 48]);
  expect(unpatchify(patches, 4, { rows: 2 }).eq(images).all().item()).toBe(1);
});

test('the channel is the innermost axis of a patch', () => {
  const images = randn([1, 3, 4, 4]);
  expect(patchify(images, 4).select(1, 0).slice(1, 0, 3).toNumbers()).toEqual(
    images.slice(2, 0, 1).slice(3, 0, 1).toNumbers(),
  );
});
