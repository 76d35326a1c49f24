// What could go wrong with who frees what: tensors used after they went, freed twice, freed by somebody else, or never.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parameter } from '../../src/nn/index.ts';
import * as t from '../../src/tensor/index.ts';
import { DisposedError } from '../../src/util/errors.ts';

let before = 0;
beforeEach(() => {
  before = t.memoryStats().tensors;
});
afterEach(() => {
  expect(t.memoryStats().tensors, 'live tensors after the test').toBe(before);
});

function gone(): t.Tensor {
  const x = t.ones([2]);
  x.dispose();
  return x;
}

describe('a disposed tensor', () => {
  const uses: Record<string, (x: t.Tensor) => unknown> = {
    'as receiver': (x) => x.add(1),
    'as operand': (x) => t.tidy(() => t.ones([2]).add(x)),
    'in a list': (x) => t.tidy(() => t.cat([t.ones([2]), x])),
    'as an optional argument': (x) => t.tidy(() => t.linear(t.ones([1, 2]), t.ones([2, 2]), x)),
    'in place': (x) => x.add_(1),
    'for its shape': (x) => x.shape,
    'for its dtype': (x) => x.dtype,
    'for its device': (x) => x.device,
    'for its elements': (x) => x.toArray(),
    'as a number': (x) => x.item(),
    'for its gradient': (x) => x.grad,
    'to require one': (x) => x.setRequiresGrad(),
    'to be given one': (x) => t.tidy(() => x.setGrad(t.ones([2]))),
    'as a gradient': (x) => t.tidy(() => t.ones([2]).setRequiresGrad().setGrad(x)),
    'to differentiate': (x) => t.backward(x),
    'to differentiate by': (x) => t.tidy(() => t.grad([t.ones([]).setRequiresGrad()], [x])),
    'for another dtype': (x) => x.to('f64'),
    'in a foreach kernel': (x) => t.foreach.mul_([x], 2),
    'by name of an operator': (x) => t.call('aten::neg', [x]),
    'as a condition': (x) => t.tidy(() => t.where(x, t.ones([2]), 0)),
    'as probabilities': (x) => t.bernoulli(x),
  };
  it.each(Object.entries(uses))('cannot be used %s', (_, use) => {
    expect(() => use(gone())).toThrow(DisposedError);
    expect(() => use(gone())).toThrow(/expected a live tensor, received one that was disposed\. keep\(\) it/);
  });

  it('can be disposed again, printed and asked whether it is gone', () => {
    const x = gone();
    x.dispose();
    t.dispose([x, { x }]);
    expect([x.disposed, String(x)]).toEqual([true, 'Tensor(disposed)']);
  });

  it('does not come back with the next tenant of its slot', () => {
    t.tidy(() => {
      const old = t.ones([2]);
      const { handle } = old;
      old.dispose();
      const next = t.zeros([2]);
      expect(next.handle).not.toBe(handle);
      expect(old.disposed).toBe(true);
    });
  });
});

describe('tidy', () => {
  it('returns a tensor that is named twice once, alive', () => {
    const [a, b] = t.tidy(() => {
      const x = t.ones([2]).add(1);
      return [x, x];
    });
    expect(a).toBe(b);
    expect(a?.toNumbers()).toEqual([2, 2]);
    a?.dispose();
  });

  it('returns tensors of a structure that contains itself', () => {
    interface Node {
      x: t.Tensor;
      self?: Node;
    }
    const node = t.tidy(() => {
      const made: Node = { x: t.ones([1]) };
      made.self = made;
      return made;
    });
    expect(node.self?.x.item()).toBe(1);
    t.dispose(node);
  });

  it('does not mind a tensor that was disposed inside, also when it is returned', () => {
    const x = t.tidy(() => {
      const made = t.ones([2]);
      made.dispose();
      return made;
    });
    expect(x.disposed).toBe(true);
  });

  it('frees the work of an inner scope that threw and was caught', () => {
    const x = t.tidy(() => {
      const kept = t.ones([2]);
      expect(() => t.tidy(() => kept.matmul(t.ones([3, 3])))).toThrow();
      return kept.add(1);
    });
    expect(x.toNumbers()).toEqual([2, 2]);
    x.dispose();
  });

  it('leaves the tensors of an outer scope alone when an inner one returns them', () => {
    t.tidy(() => {
      const x = t.ones([2]);
      expect(t.tidy(() => x)).toBe(x);
      t.tidy(() => x.mul(2));
      expect(x.toNumbers()).toEqual([1, 1]);
    });
  });
});

describe('keep', () => {
  it('twice is keep once', () => {
    const x = t.tidy(() => t.tidy(() => t.keep(t.keep(t.ones([2])))));
    expect(x.toNumbers()).toEqual([1, 1]);
    x.dispose();
    x.dispose();
  });
});

describe('a borrowed gradient', () => {
  it('may be disposed: the tensor keeps its own', () => {
    const x = parameter(t.ones([2]));
    t.tidy(() => t.backward(x.sum()));
    const grad = x.grad;
    grad?.dispose();
    x.grad?.dispose();
    t.tidy(() => expect(x.grad?.toNumbers()).toEqual([1, 1]));
    x.dispose();
  });

  it('outlives the tensor it belongs to', () => {
    const x = parameter(t.ones([2]));
    t.tidy(() => t.backward(x.sum()));
    const grad = x.grad;
    x.dispose();
    expect(grad?.toNumbers()).toEqual([1, 1]);
    grad?.dispose();
  });
});

it('a result outlives its inputs, also when backward still needs them', () => {
  const x = parameter(t.full([3], 2));
  const y = t.tidy(() =>
    x
      .mul(x)
      .mul(t.full([3], 5))
      .sum(),
  );
  t.backward(y);
  y.dispose();
  t.tidy(() => expect(x.grad?.toNumbers()).toEqual([20, 20, 20]));
  x.dispose();
});

it('a view outlives the tensor it looks at', () => {
  const base = t.arange(6);
  const view = t.tidy(() => base.view([2, 3]).select(0, 1));
  base.dispose();
  expect(view.toNumbers()).toEqual([3, 4, 5]);
  view.dispose();
});
