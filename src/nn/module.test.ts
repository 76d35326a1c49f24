import { describe, expect, test } from 'vitest';
import { memoryStats, ones, type Tensor, tensor, tidy, zeros } from '../tensor/index.ts';
import { ArgumentError, WeightsError } from '../util/errors.ts';
import { buffer, Linear, Module, type Parameter, parameter, skipInit } from './index.ts';

class Block extends Module {
  readonly norm: Module | undefined = undefined;
  readonly proj = new Linear(2, 3);
  readonly scale: Parameter = parameter(ones([3]));
}

class Model extends Module {
  readonly blocks = [new Block(), new Block()];
  readonly adaLN_modulation = { 1: new Linear(2, 2, { bias: false }) };
  readonly freqs = buffer(zeros([4]));
  readonly cache = buffer(zeros([1]), { persistent: false });
  readonly pos_embed = parameter(zeros([1, 2]), { requiresGrad: false });
  readonly scratch = zeros([7]);
  readonly options = { depth: 2 };
}

const keys = [
  'pos_embed',
  'freqs',
  'blocks.0.scale',
  'blocks.0.proj.weight',
  'blocks.0.proj.bias',
  'blocks.1.scale',
  'blocks.1.proj.weight',
  'blocks.1.proj.bias',
  'adaLN_modulation.1.weight',
];

describe('a module finds its tensors by reflection', () => {
  test('keys are property paths, own tensors before children, and identities have none', () => {
    expect([...new Model().stateDict().keys()]).toEqual(keys);
  });

  test('buffers outside the state dict are still the module s', () => {
    expect(new Model().namedBuffers().map(([name]) => name)).toEqual(['freqs', 'cache']);
  });

  test('a tensor that hangs at two places is one parameter with two keys', () => {
    class Tied extends Module {
      readonly a = new Linear(2, 2, { bias: false });
      readonly b = { weight: this.a.weight };
    }
    const tied = new Tied();
    expect(tied.namedParameters().map(([name]) => name)).toEqual(['a.weight']);
    expect([...tied.stateDict().keys()]).toEqual(['a.weight', 'b.weight']);
    tied.to({ dtype: 'f64' });
    expect(tied.b.weight).toBe(tied.a.weight);
    expect(tied.a.weight.dtype).toBe('f64');
    const w = () => ones([2, 2]);
    tied.loadStateDict(
      new Map([
        ['a.weight', w()],
        ['b.weight', w()],
      ]),
      { assign: true },
    );
    expect(tied.b.weight.toNumbers()).toEqual([1, 1, 1, 1]);
  });

  test('numParameters counts parameters only', () => {
    expect(new Model().numParameters()).toBe(2 + 2 * (3 + 6 + 3) + 4);
  });

  test('a reference back to a parent is an error that names the way', () => {
    class Child extends Module {
      parent: Module | undefined;
    }
    class Parent extends Module {
      readonly child = new Child();
    }
    const parent = new Parent();
    parent.child.parent = parent;
    expect(() => parent.parameters()).toThrow(ArgumentError);
    expect(() => parent.parameters()).toThrow("a cycle at 'child.parent'");
  });
});

describe('state of a module', () => {
  test('train and eval reach every module below', () => {
    const model = new Model().eval();
    expect(model.namedModules().map(([, module]) => module.training)).toEqual(Array(6).fill(false));
    expect(model.train().blocks[1]!.proj.training).toBe(true);
  });

  test('requiresGrad_ freezes and unfreezes', () => {
    const model = new Model().requiresGrad_(false);
    expect(model.parameters().some((p) => p.requiresGrad)).toBe(false);
    expect(
      model
        .requiresGrad_()
        .parameters()
        .every((p) => p.requiresGrad),
    ).toBe(true);
  });

  test('parameters outlive the scope they are made in, and dispose frees all of them', () => {
    const before = memoryStats().tensors;
    const linear = tidy(() => new Linear(2, 2));
    expect(memoryStats().tensors).toBe(before + 2);
    linear.dispose();
    expect(memoryStats().tensors).toBe(before);
  });

  test('to converts floating-point tensors, keeps gradient flags and leaks nothing', () => {
    class Mixed extends Module {
      readonly w = parameter(ones([2]));
      readonly frozen = parameter(ones([2]), { requiresGrad: false });
      readonly index = buffer(zeros([2], { dtype: 'i64' }));
    }
    const mixed = new Mixed();
    const before = memoryStats().tensors;
    tidy(() => mixed.to({ dtype: 'bf16' }));
    expect([mixed.w.dtype, mixed.frozen.dtype, mixed.index.dtype]).toEqual(['bf16', 'bf16', 'i64']);
    expect([mixed.w.requiresGrad, mixed.frozen.requiresGrad, mixed.w.isLeaf]).toEqual([true, false, true]);
    expect(memoryStats().tensors).toBe(before);
  });
});

describe('loadStateDict', () => {
  const linearState = (entries: Record<string, number[]>) =>
    new Map(Object.entries(entries).map(([key, shape]): [string, Tensor] => [key, ones(shape)]));

  test('copies values, converting the dtype', () => {
    const linear = new Linear(2, 1);
    linear.loadStateDict(
      new Map([
        ['weight', tensor([[1.5, 2]], { dtype: 'bf16' })],
        ['bias', tensor([3], { dtype: 'f64' })],
      ]),
    );
    expect(linear.weight.toNumbers()).toEqual([1.5, 2]);
    expect(linear.bias!.toNumbers()).toEqual([3]);
    expect([linear.weight.dtype, linear.weight.requiresGrad]).toEqual(['f32', true]);
  });

  test('assign takes the tensors over as they are', () => {
    const linear = skipInit(() => new Linear(2, 1));
    const state = new Map([
      ['weight', ones([1, 2], { dtype: 'bf16' })],
      ['bias', ones([1], { dtype: 'bf16' })],
    ]);
    const before = memoryStats().tensors;
    linear.loadStateDict(state, { assign: true });
    expect(linear.weight).toBe(state.get('weight'));
    expect([linear.weight.dtype, linear.weight.requiresGrad]).toEqual(['bf16', true]);
    expect(memoryStats().tensors).toBe(before - 2);
  });

  test('a mis-shaped key is named with both shapes, and nothing is copied', () => {
    const linear = new Linear(2, 1);
    const before = linear.weight.toNumbers();
    const state = linearState({ weight: [1, 2], bias: [4] });
    for (const strict of [true, false]) {
      expect(() => linear.loadStateDict(state, { strict })).toThrow(
        "Linear.loadStateDict: expected key 'bias' of shape [1], received [4]. Check that",
      );
    }
    expect(linear.weight.toNumbers()).toEqual(before);
  });

  test('missing, unexpected and mis-shaped keys are all listed', () => {
    const load = () => new Model().loadStateDict(linearState({ freqs: [4], pos_embed: [2, 2], head: [1] }));
    expect(load).toThrow(WeightsError);
    expect(load).toThrow(
      "Model.loadStateDict: expected 9 keys, received 3 that do not all fit. Missing (7): 'blocks.0.scale', 'blocks.0.proj.weight', ",
    );
    expect(load).toThrow(
      "Unexpected (1): 'head'. Of another shape (1): key 'pos_embed' of shape [1, 2] expected, [2, 2].",
    );
  });

  test('a long list of keys is cut with a count', () => {
    const extra = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`extra.${i}`, [1]]));
    const load = () => new Linear(2, 1).loadStateDict(linearState({ weight: [1, 2], bias: [1], ...extra }));
    expect(load).toThrow("Unexpected (30): 'extra.0', 'extra.1'");
    expect(load).toThrow("'extra.7' and 22 more.");
  });

  test('without strict, missing and unexpected keys are returned', () => {
    const linear = new Linear(2, 1);
    const report = linear.loadStateDict(linearState({ weight: [1, 2], other: [1] }), { strict: false });
    expect(report).toEqual({ missing: ['bias'], unexpected: ['other'] });
    expect(linear.weight.toNumbers()).toEqual([1, 1]);
  });
});
