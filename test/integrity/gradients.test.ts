// What could go wrong with gradients: graphs used twice or changed under way, tensors that can have none, modes that leak.
import { describe, expect, it } from 'vitest';
import * as t from '../../src/tensor/index.ts';
import { ArgumentError, NativeError } from '../../src/util/errors.ts';
import { inChild } from './child.ts';

const leaf = (...values: number[]) => t.tensor(values).setRequiresGrad();

/** Inside a scope: the error and the number of live tensors are checked. */
function refused(run: () => unknown, error: new (message: string) => Error, message: RegExp): void {
  const live = t.memoryStats().tensors;
  expect(() => t.tidy(run)).toThrow(error);
  expect(() => t.tidy(run)).toThrow(message);
  expect(t.memoryStats().tensors).toBe(live);
}

describe('backward', () => {
  it('twice through one graph says how to keep it', () => {
    refused(
      () => {
        const loss = leaf(1, 2).square().sum();
        t.backward(loss);
        t.backward(loss);
      },
      NativeError,
      /a second time.*\{ retainGraph: true \}/,
    );
  });

  it('twice with retainGraph adds up', () => {
    t.tidy(() => {
      const x = leaf(3);
      const loss = x.square().sum();
      t.backward(loss, { retainGraph: true });
      t.backward(loss);
      expect(x.grad?.item()).toBe(12);
    });
  });

  it('needs a scalar, a graph, and a gradient of the right shape', () => {
    refused(() => t.backward(leaf(1, 2).mul(2)), NativeError, /only for scalar outputs/);
    refused(() => t.backward(t.ones([])), NativeError, /does not require grad/);
    refused(() => t.backward(leaf(1, 2).mul(2), { gradient: t.ones([3]) }), NativeError, /got \[3\].*\[2\]/);
  });

  it('finds that a tensor it needs was changed in place', () => {
    refused(
      () => {
        const y = leaf(1).mul(2);
        const z = y.square();
        y.add_(1);
        t.backward(z.sum());
      },
      NativeError,
      /modified by an inplace operation/,
    );
  });

  it('frees a graph of 200,000 nodes without running out of stack', async () => {
    const { code, out } = await inChild(`
      t.tidy(() => {
        let x = t.ones([1]).setRequiresGrad();
        for (let i = 0; i < 200_000; i++) { const next = x.add(1); x.dispose(); x = next; }
        t.backward(x);
      });
      say(t.memoryStats().tensors);
    `);
    expect([code, out]).toEqual([0, ['0']]);
  });
});

describe('a leaf that requires a gradient', () => {
  it('cannot be changed in place, except without recording', () => {
    refused(() => leaf(1).add_(1), NativeError, /add_.*a leaf Variable that requires grad.*in-place/);
    t.tidy(() => expect(t.noGrad(() => leaf(1).add_(1)).item()).toBe(2));
  });

  it('must be of a floating dtype', () => {
    refused(() => t.tensor([1], { dtype: 'i64' }).setRequiresGrad(), NativeError, /floating point/);
    refused(() => t.grad([leaf(1).sum()], [t.tensor([1], { dtype: 'i64' })]), NativeError, /not require grad/);
  });

  it('takes no gradient of another shape or dtype, nor itself: optimisers would read beyond its end', () => {
    refused(() => leaf(1, 2).setGrad(t.ones([3])), ArgumentError, /like its tensor, f32\[2\], received f32\[3\]/);
    refused(() => leaf(1).setGrad(t.ones([1], { dtype: 'f64' })), ArgumentError, /received f64\[1\]/);
    refused(
      () => {
        const x = leaf(1);
        x.setGrad(x);
      },
      ArgumentError,
      /the tensor itself/,
    );
  });

  it('is not what an operation gives: that cannot be switched off', () => {
    refused(() => leaf(1).mul(2).setRequiresGrad(false), ArgumentError, /expected a leaf.*detach\(\)/);
  });
});

describe('the fused optimiser', () => {
  const z = (...shape: number[]) => t.zeros(shape);
  const step = (param: t.Tensor, grad: t.Tensor, moment: t.Tensor, count = t.zeros([])) =>
    t.fusedAdamw_([param], [grad], [moment], [moment], [], [count], {
      lr: 1,
      beta1: 0.9,
      beta2: 0.9,
      weightDecay: 0,
      eps: 1,
    });

  it('refuses what does not lie in memory as its parameter does', () => {
    refused(() => step(z(1000), z(10), z(1000)), ArgumentError, /grads\[0\].*f32\[1000\], received f32\[10\]/);
    refused(() => step(z(1000), z(1000), z(1)), ArgumentError, /expAvgs\[0\]/);
    refused(() => step(z(3, 4), z(4, 3).t(), z(3, 4)), ArgumentError, /grads\[0\]/);
    refused(() => step(z(4), z(4).to('f64'), z(4)), ArgumentError, /received f64\[4\]/);
    refused(() => step(z(4), z(4), z(4), t.zeros([], { dtype: 'i64' })), ArgumentError, /f32 step/);
  });
});

describe('grad', () => {
  it('names the way out for an input that was not used', () => {
    refused(() => t.grad([leaf(1).sum()], [leaf(2)]), NativeError, /gradAllowUnused\(\)/);
    t.tidy(() => expect(t.gradAllowUnused([leaf(1).sum()], [leaf(2)])).toEqual([undefined]));
  });
});

describe('modes', () => {
  it('refuse a callback that returns a promise, and end all the same', () => {
    const asynchronous = async () => 1;
    for (const run of [t.noGrad, t.enableGrad, (f: () => unknown) => t.autocast({}, f), t.tidy]) {
      expect(() => run(asynchronous)).toThrow(/expected a synchronous callback.*Await outside of/);
    }
    t.tidy(() =>
      expect([leaf(1).mul(2).requiresGrad, t.ones([1, 1]).matmul(t.ones([1, 1])).dtype]).toEqual([true, 'f32']),
    );
  });

  it('a promise that fails inside is no unhandled rejection besides', async () => {
    expect(() => t.tidy(() => Promise.reject(new Error('late')))).toThrow(ArgumentError);
    await new Promise((resolve) => setTimeout(resolve));
  });

  it('of autocast come back to the outer dtype, also after an error', () => {
    t.tidy(() => {
      const x = t.ones([2, 2]);
      t.autocast({ dtype: 'bf16' }, () => {
        expect(t.autocast({ dtype: 'f16' }, () => x.matmul(x)).dtype).toBe('f16');
        expect(x.matmul(x).dtype).toBe('bf16');
        expect(() =>
          t.autocast({ enabled: false }, () => {
            throw new Error('inside');
          }),
        ).toThrow('inside');
        expect(x.matmul(x).dtype).toBe('bf16');
      });
      expect(x.matmul(x).dtype).toBe('f32');
    });
  });
});
