import { describe, expect, test } from 'vitest';
import { LayerNorm, RMSNorm } from '../../nn/index.ts';
import { Generator, randn, stack, type Tensor, tensor, tidy } from '../../tensor/index.ts';
import { LabelEmbedder } from './label-embedder.ts';
import { modulate } from './norm.ts';
import { Rope2d, rotate } from './rope.ts';
import { sincosTable } from './sincos.ts';
import { swigluHidden } from './swiglu.ts';

describe('Rope2d', () => {
  test('rotates adjacent pairs, the row in the first half of a head and the column in the second', () => {
    const rope = new Rope2d(8, 2, 3);
    const qk = randn([2, 6, 2, 3, 8], { generator: new Generator(0) });
    const even = qk.slice(4, 0, 8, 2);
    const odd = qk.slice(4, 1, 8, 2);
    const turned = stack([odd.neg(), even], -1).flatten(4, 5);
    const by = (table: Tensor) => table.view([6, 1, 1, 8]);
    const want = qk.mul(by(rope.freqs_cos)).add(turned.mul(by(rope.freqs_sin)));
    expect(rotate(qk, rope.rotation()).sub(want).abs().max().item()).toBeLessThan(1e-6);
    const [row, column] = [rope.freqs_sin.select(0, 3), rope.freqs_sin.select(0, 1)]; // tokens (1, 0) and (0, 1)
    expect(row.toNumbers().map((v) => v !== 0)).toEqual([true, true, true, true, false, false, false, false]);
    expect(column.toNumbers().map((v) => v !== 0)).toEqual([false, false, false, false, true, true, true, true]);
  });
});

describe('sincosTable', () => {
  test('puts the column in the first half and the row in the second', () => {
    const table = sincosTable(1152, 16, 16);
    const at = (row: number, i: number) => table.select(0, row).select(0, i).item();
    expect([at(1, 0), at(1, 1), at(1, 288), at(1, 576), at(1, 864)].map((v) => v.toFixed(6))).toEqual([
      '0.841471',
      '0.824051',
      '0.540302',
      '0.000000',
      '1.000000',
    ]);
    expect(at(16, 576).toFixed(6)).toBe('0.841471');
  });
});

describe('swigluHidden', () => {
  test('is two thirds of four widths, not rounded to a multiple', () => {
    expect([384, 768, 1024, 1152, 2048].map((width) => swigluHidden(width, 4))).toEqual([1024, 2048, 2730, 3072, 5461]);
  });
});

describe('modulate', () => {
  test.each([
    ['RMSNorm', new RMSNorm(6)],
    ['LayerNorm', new LayerNorm(6, { eps: 1e-6, affine: false })],
  ])('is norm(x) (1 + scale) + shift for %s', (_, norm) => {
    const generator = new Generator(1);
    const [x, scale, shift] = [
      [2, 5, 6],
      [2, 1, 6],
      [2, 1, 6],
    ].map((shape) => randn(shape, { generator })) as [Tensor, Tensor, Tensor];
    const want = norm.forward(x).mul(scale.add(1)).add(shift);
    expect(modulate(norm, x, scale, shift).sub(want).abs().max().item()).toBeLessThan(1e-6);
  });
});

describe('LabelEmbedder', () => {
  test('drops labels at its rate', () => {
    const embedder = new LabelEmbedder({ width: 1, numClasses: 2, dropProbability: 0.3 }).train();
    embedder.embedding_table.weight.setRequiresGrad(false).copy_(tensor([0, 0, 1], { shape: [3, 1] }));
    const labels = tensor(new Array(4000).fill(1), { dtype: 'i64' });
    const rate = tidy(() =>
      embedder
        .forward(labels, { generator: new Generator(0) })
        .mean()
        .item(),
    );
    expect(Math.abs(rate - 0.3)).toBeLessThan(0.03);
  });
});
