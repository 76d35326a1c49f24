import { describe, expect, it } from 'vitest';
import { ArgumentError, DisposedError, NativeError, ShapeError } from '../util/errors.ts';
import {
  arange,
  autocast,
  backward,
  cat,
  fromBuffer,
  full,
  grad,
  linspace,
  noGrad,
  ones,
  scaledDotProductAttention,
  setAttentionBackends,
  type Tensor,
  tensor,
  where,
  zeros,
} from './index.ts';

describe('tensors', () => {
  it('are made from nested numbers, and give shape, dtype and elements back', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([x.shape, x.dtype, x.numel, x.ndim]).toEqual([[2, 3], 'f32', 6, 2]);
    expect(x.toNumbers()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('refuse rows of different lengths', () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(ShapeError);
  });

  it('keep the dtype of integers under whole-number operands', () => {
    const i = tensor([1, 2], { dtype: 'i64' });
    expect(i.add(1).dtype).toBe('i64');
    expect(i.mul(0.5).dtype).toBe('f32');
    expect(i.add(1).toArray()).toEqual(BigInt64Array.of(2n, 3n));
  });

  it('hold every dtype', () => {
    for (const dtype of ['f32', 'f64', 'bf16', 'f16', 'i64', 'i32', 'u8', 'bool'] as const) {
      const x = tensor([1, 0, 1], { dtype });
      expect([x.dtype, x.toNumbers()]).toEqual([dtype, [1, 0, 1]]);
    }
  });

  it('check the rank when destructured', () => {
    const [b, n] = zeros([2, 3]).dims(2);
    expect([b, n]).toEqual([2, 3]);
    expect(() => zeros([2, 3]).dims(3)).toThrow(/3 dimensions/);
  });

  it('share memory with a buffer without copying', () => {
    const data = Float32Array.of(1, 2, 3);
    const x = fromBuffer(data, { shape: [3], dtype: 'f32' });
    data[1] = 9;
    expect(x.toNumbers()).toEqual([1, 9, 3]);
    x.mul_(2);
    expect([...data]).toEqual([2, 18, 6]);
  });

  it('print like nested arrays', () => {
    expect(String(arange(3))).toBe('tensor([0, 1, 2], i64[3])');
    expect(String(full([1, 2], 0.5))).toBe('tensor([[0.5000, 0.5000]], f32[1, 2])');
  });

  it('name the operator and the shapes when libtorch refuses', () => {
    const run = () => ones([2, 3]).matmul(ones([4, 5]));
    expect(run).toThrow(NativeError);
    expect(run).toThrow(/aten::matmul \(f32\[2, 3\], f32\[4, 5\]\): mat1 and mat2/);
  });

  it('cannot be used after dispose, and disposing twice is harmless', () => {
    const x = ones([2]);
    x.dispose();
    x.dispose();
    expect(() => x.add(1)).toThrow(DisposedError);
    expect(x.disposed).toBe(true);
  });

  it('refuse arguments of the wrong kind by name', () => {
    const x = ones([2, 2]) as unknown as { sum(dim: unknown): Tensor; reshape(shape: unknown): Tensor };
    expect(() => x.reshape('a')).toThrow(ArgumentError);
    expect(() => x.sum([0.5])).toThrow(/expected 'dim' to be a whole number, received 0.5/);
    expect(() => ones([2]).select(0, Number.NaN)).toThrow(ArgumentError);
  });

  it('select with numbers on either side', () => {
    const mask = tensor([1, 0], { dtype: 'bool' });
    expect(where(mask, full([2], 3), 7).toNumbers()).toEqual([3, 7]);
    expect(cat([ones([1]), zeros([1])]).toNumbers()).toEqual([1, 0]);
  });
});

describe('gradients', () => {
  it('accumulate into the leaves', () => {
    const x = tensor([1, 2, 3]).setRequiresGrad();
    backward(x.mul(x).sum());
    backward(x.sum());
    expect(x.grad?.toNumbers()).toEqual([3, 5, 7]);
    x.setGrad(undefined);
    expect(x.grad).toBeUndefined();
  });

  it('are given for several inputs without touching .grad', () => {
    const x = tensor([2]).setRequiresGrad();
    const y = tensor([5]).setRequiresGrad();
    const [dx, dy] = grad([x.mul(y).sum()], [x, y]);
    expect([dx?.item(), dy?.item(), x.grad]).toEqual([5, 2, undefined]);
  });

  it('are not recorded inside noGrad, also when it throws', () => {
    const x = tensor([1]).setRequiresGrad();
    expect(() =>
      noGrad(() => {
        expect(x.mul(2).requiresGrad).toBe(false);
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(x.mul(2).requiresGrad).toBe(true);
  });

  it('let autocast shorten matrix products only inside its scope', () => {
    const a = ones([4, 4]);
    expect(autocast({ dtype: 'bf16' }, () => a.matmul(a)).dtype).toBe('bf16');
    expect(a.matmul(a).dtype).toBe('f32');
  });
});

describe('attention', () => {
  it('gives the same by every kernel that may be chosen', () => {
    const [q, k, v] = [0, 1, 2].map((i) => linspace(i - 1, 1, 2 * 3 * 8 * 4).view([2, 3, 8, 4])) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const fused = scaledDotProductAttention(q, k, v).toNumbers();
    setAttentionBackends({ flash: false });
    const plain = scaledDotProductAttention(q, k, v).toNumbers();
    setAttentionBackends();
    expect(Math.max(...fused.map((x, i) => Math.abs(x - plain[i]!)))).toBeLessThan(1e-5);
  });
});
