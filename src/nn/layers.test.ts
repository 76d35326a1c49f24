import { describe, expect, test } from 'vitest';
import { arange, Generator, ones, randn, tensor, zeros } from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import {
  activation,
  attention,
  Conv2d,
  Embedding,
  GroupNorm,
  LayerNorm,
  Linear,
  mergeHeads,
  modulate,
  RMSNorm,
  splitHeads,
} from './index.ts';

describe('layers', () => {
  test('Linear without bias has one key', () => {
    const linear = new Linear(2, 3, { bias: false });
    expect([...linear.stateDict().keys()]).toEqual(['weight']);
    expect(linear.forward(ones([5, 2])).shape).toEqual([5, 3]);
  });

  test('Conv2d slides with stride, padding and groups', () => {
    const conv = new Conv2d(4, 6, [2, 3], { stride: 2, padding: [0, 1], groups: 2 });
    expect(conv.weight.shape).toEqual([6, 2, 2, 3]);
    expect(conv.forward(zeros([1, 4, 8, 8])).shape).toEqual([1, 6, 4, 4]);
  });

  test('LayerNorm without affine has no keys and gives mean 0, variance 1', () => {
    const norm = new LayerNorm(4, { affine: false, eps: 0 });
    expect(norm.stateDict().size).toBe(0);
    const y = norm.forward(tensor([[1, 2, 3, 6]]));
    expect(y.mean().item()).toBeCloseTo(0, 6);
    expect(y.square().mean().item()).toBeCloseTo(1, 5);
  });

  test('LayerNorm can keep its weight and drop its bias', () => {
    expect([...new LayerNorm(4, { bias: false }).stateDict().keys()]).toEqual(['weight']);
  });

  test('GroupNorm normalises each group of channels', () => {
    const y = new GroupNorm(2, 4).forward(
      randn([2, 4, 3, 3], { generator: new Generator(0) })
        .mul(5)
        .add(1),
    );
    const means = y.reshape([2, 2, 18]).mean([-1]).toNumbers();
    for (const mean of means) expect(mean).toBeCloseTo(0, 5);
  });

  test('RMSNorm divides by the root of the mean square', () => {
    const y = new RMSNorm(2, { eps: 0 }).forward(tensor([[3, 4]]));
    expect(y.toNumbers()[0]).toBeCloseTo(3 / Math.sqrt(12.5), 6);
  });

  test('RMSNorm casts back to bf16 before its float32 weight multiplies', () => {
    const norm = new RMSNorm(2, { eps: 0 });
    norm.weight.detach().fill_(1 / 3);
    const y = norm.forward(tensor([[3, 4]], { dtype: 'bf16' }));
    expect(y.dtype).toBe('f32');
    expect(y.toNumbers()).toEqual([0.84765625, 1.1328125].map((half) => Math.fround(half * Math.fround(1 / 3))));
  });

  test('Embedding looks rows up', () => {
    const table = new Embedding(3, 2);
    const y = table.forward(tensor([2, 0], { dtype: 'i64' }));
    expect(y.toNumbers()).toEqual([...table.weight.toNumbers().slice(4), ...table.weight.toNumbers().slice(0, 2)]);
  });
});

describe('functions', () => {
  test('attention averages values by softmax of scaled scores', () => {
    const q = tensor([[[[2, 0]]]]);
    const k = tensor([
      [
        [
          [1, 0],
          [0, 1],
        ],
      ],
    ]);
    const v = tensor([
      [
        [
          [1, 0],
          [0, 1],
        ],
      ],
    ]);
    const weight = Math.exp(Math.SQRT2) / (Math.exp(Math.SQRT2) + 1);
    expect(attention(q, k, v).toNumbers()[0]).toBeCloseTo(weight, 6);
    const mask = tensor([[true, false]].map((row) => row.map(Number))).to('bool');
    expect(attention(q, k, v, { mask }).toNumbers()).toEqual([1, 0]);
    const sharp = attention(q, k, v, { scale: 2 }).toNumbers()[0];
    expect(sharp).toBeCloseTo(Math.exp(4) / (Math.exp(4) + 1), 6);
  });

  test('heads are split and merged without changing order', () => {
    const x = arange(24, undefined, undefined, { dtype: 'f32' }).reshape([1, 3, 8]);
    const heads = splitHeads(x, 2);
    expect(heads.shape).toEqual([1, 2, 3, 4]);
    expect(heads.select(1, 1).toNumbers().slice(0, 4)).toEqual([4, 5, 6, 7]);
    expect(mergeHeads(heads).toNumbers()).toEqual(x.toNumbers());
    expect(() => splitHeads(x, 3)).toThrow(ShapeError);
  });

  test('modulate acts per image or per token, with or without shift', () => {
    const x = ones([2, 2, 1]);
    const perImage = tensor([[1], [2]]);
    expect(modulate(x, perImage, perImage).toNumbers()).toEqual([3, 3, 5, 5]);
    const perToken = tensor([
      [[0], [1]],
      [[2], [3]],
    ]);
    expect(modulate(x, undefined, perToken).toNumbers()).toEqual([1, 2, 3, 4]);
  });

  test('activations go by the names of configurations', () => {
    const x = tensor([1]);
    expect(activation('gelu')(x).item()).toBeCloseTo(0.8413447, 6);
    expect(activation('gelu_pytorch_tanh')(x).item()).toBeCloseTo(0.8411919, 6);
    expect(() => activation('gelo')).toThrow(ArgumentError);
    expect(() => activation('gelo')).toThrow("received 'gelo'. Did you mean 'gelu'?");
  });
});
