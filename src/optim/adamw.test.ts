import { describe, expect, test } from 'vitest';
import { Module, parameter } from '../nn/index.ts';
import { Generator, memoryStats, ones, randn, type Tensor, tensor, tidy, withFused, zeros } from '../tensor/index.ts';
import { ArgumentError, WeightsError } from '../util/errors.ts';
import { AdamW, Ema } from './index.ts';

const step = (optimizer: AdamW, param: Tensor, grad: Tensor) => {
  param.setGrad(grad);
  optimizer.step();
};

describe('AdamW', () => {
  for (const fused of [true, false]) {
    test(`the first step moves by the rate against the sign, after weight decay (fused ${fused})`, () => {
      const p = parameter(tensor([1, -1, 2]));
      const optimizer = new AdamW([['p', p]], { lr: 0.1, weightDecay: 0.5, fused });
      step(optimizer, p, tensor([3, -0.01, 0]));
      for (const [i, wanted] of [0.95 - 0.1, -0.95 + 0.1, 1.9].entries()) {
        expect(p.toNumbers()[i]).toBeCloseTo(wanted, 5);
      }
    });

    test(`a transposed gradient is read by position, not by memory (fused ${fused})`, () => {
      const p = parameter(zeros([2, 3]));
      step(
        new AdamW([['p', p]], { lr: 1, fused }),
        p,
        tensor([
          [1, -1],
          [1, -1],
          [1, -1],
        ]).t(),
      );
      expect(p.toNumbers().map(Math.sign)).toEqual([-1, -1, -1, 1, 1, 1]);
    });

    test(`a parameter without gradient keeps its value and step count (fused ${fused})`, () => {
      const [a, b] = [parameter(ones([2])), parameter(ones([2]))];
      const optimizer = new AdamW(
        [
          ['a', a],
          ['b', b],
        ],
        { lr: 0.1, weightDecay: 0.1, fused },
      );
      step(optimizer, a, ones([2]));
      expect(b.toNumbers()).toEqual([1, 1]);
      const state = optimizer.stateDict();
      expect([state.get('step.a')!.item(), state.get('step.b')!.item()]).toEqual([1, 0]);
    });
  }

  test('one pass that clips and averages equals libtorch: three steps, odd sizes, an empty and a frozen parameter', () => {
    const run = (own: boolean) =>
      withFused(own, () => {
        const generator = new Generator(1);
        const module = new Module() as Module & Record<string, Tensor>;
        for (const [i, shape] of [[3, 7], [], [0, 4], [20_001], [5]].entries()) {
          module[`p${i}`] = parameter(randn(shape, { generator }), { requiresGrad: i !== 4 });
        }
        const params = module.namedParameters();
        const optimizer = new AdamW(params, { lr: 0.01, weightDecay: 0.1 });
        const ema = new Ema(module, { decay: 0.9 });
        for (let n = 0; n < 3; n++) {
          for (const [name, p] of params) if (name !== 'p4') p.setGrad(randn([...p.shape], { generator }));
          optimizer.step({ scale: 0.5, average: { ema, n } });
        }
        return [...optimizer.stateDict(), ...params, ...ema.stateDict()].map(
          ([key, t]) => [key, t.toNumbers()] as const,
        );
      });
    const ours = run(true);
    for (const [i, [key, wanted]] of run(false).entries()) {
      const got = ours[i]![1];
      for (const [j, v] of wanted.entries())
        expect(Math.abs(got[j]! - v), `${key}[${j}]`).toBeLessThan(2e-7 + 1e-6 * Math.abs(v));
    }
  });

  test('the rate can be set between steps', () => {
    const p = parameter(zeros([1]));
    const optimizer = new AdamW([['p', p]], { lr: 1 });
    step(optimizer, p, ones([1]));
    optimizer.lr = 0.01;
    step(optimizer, p, ones([1]));
    expect(p.item()).toBeCloseTo(-1.01, 5);
  });

  test('parameters of several dtypes are updated together', () => {
    const [a, b] = [parameter(ones([2])), parameter(ones([2], { dtype: 'f64' }))];
    const optimizer = new AdamW(
      [
        ['a', a],
        ['b', b],
      ],
      { lr: 0.5 },
    );
    a.setGrad(ones([2]));
    b.setGrad(ones([2], { dtype: 'f64' }));
    optimizer.step();
    expect([a.toNumbers()[0], b.toNumbers()[0]].map((x) => x!.toFixed(4))).toEqual(['0.5000', '0.5000']);
  });

  test('zeroGrad drops the gradients', () => {
    const p = parameter(zeros([1]));
    p.setGrad(ones([1]));
    new AdamW([['p', p]], { lr: 1 }).zeroGrad();
    expect(p.grad).toBeUndefined();
  });

  test('its state is named after the parameters, survives scopes and is freed by dispose', () => {
    const p = parameter(zeros([3]));
    const before = memoryStats().tensors;
    const optimizer = tidy(() => new AdamW([['blocks.0.w', p]], { lr: 1 }));
    expect([...optimizer.stateDict()].map(([key, t]) => `${key} ${t.dtype} [${t.shape}]`)).toEqual([
      'exp_avg.blocks.0.w f32 [3]',
      'exp_avg_sq.blocks.0.w f32 [3]',
      'step.blocks.0.w f32 []',
    ]);
    optimizer.dispose();
    expect(memoryStats().tensors).toBe(before);
  });

  test('the state of another model is refused', () => {
    const optimizer = new AdamW([['p', parameter(zeros([3]))]], { lr: 1 });
    const other = new AdamW([['q', parameter(zeros([3]))]], { lr: 1 });
    expect(() => optimizer.loadStateDict(other.stateDict())).toThrow(WeightsError);
    expect(() => optimizer.loadStateDict(other.stateDict())).toThrow("Missing (3): 'exp_avg.p'");
  });

  test('a parameter that is a transposed view is refused', () => {
    const p = parameter(zeros([2, 3]).t());
    expect(() => new AdamW([['p', p]], { lr: 1 })).toThrow("expected parameter 'p' in row-major memory");
  });

  test('impossible settings and an empty list are refused', () => {
    const p = parameter(zeros([1]));
    expect(() => new AdamW([['p', p]], { lr: -1 })).toThrow(ArgumentError);
    expect(() => new AdamW([['p', p]], { lr: 1, betas: [0.9, 1] })).toThrow('betas [0.9, 1]');
    expect(() => new AdamW([], { lr: 1 })).toThrow('expected at least one parameter');
  });
});
