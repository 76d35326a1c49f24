import { describe, expect, test } from 'vitest';
import { empty, Generator, manualSeed, memoryStats, rand, zeros } from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { Conv2d, Embedding, init, LayerNorm, Linear, skipInit } from './index.ts';

// Expected values: PyTorch 2.13, torch.manual_seed(0), then the same layers and initialisers in this order.
describe('initial values are PyTorch s, from the same seed in the same order', () => {
  test('Linear, Conv2d, Embedding, Xavier and truncated normal', () => {
    manualSeed(0);
    const linear = new Linear(3, 2);
    expect(linear.weight.toNumbers()).toEqual([
      -0.004322517663240433, 0.3097158372402191, -0.4751853346824646, -0.4248946011066437, -0.2223689705133438,
      0.15482072532176971,
    ]);
    expect(linear.bias!.toNumbers()).toEqual([-0.011439144611358643, 0.45777493715286255]);
    const conv = new Conv2d(2, 1, 2);
    expect(conv.weight.toNumbers()).toEqual([
      -0.03137575834989548, 0.09355466812849045, -0.10684845596551895, -0.06949635595083237, -0.33776670694351196,
      -0.23415207862854004, -0.14574287831783295, 0.013096880167722702,
    ]);
    expect(conv.bias!.toNumbers()).toEqual([0.13977210223674774]);
    const table = new Embedding(2, 3);
    near(
      table.weight.toNumbers(),
      [
        -0.6254658102989197, 0.4538792371749878, -1.37397038936615, 2.8474254608154297, -0.7322416305541992,
        0.38325488567352295,
      ],
    );
    expect(init.xavierUniform_(empty([2, 3])).toNumbers()).toEqual([
      -0.27732864022254944, -0.42700445652008057, 0.9464654922485352, -0.7100452780723572, -0.5042694211006165,
      -0.7653223276138306,
    ]);
    expect(init.xavierUniform_(empty([2, 1, 2, 2]), { flat: true }).toNumbers()).toEqual([
      -0.9365609884262085, -0.5837404727935791, 0.8595980405807495, 0.4462183713912964, 0.48467254638671875,
      0.052591562271118164, -0.5126835107803345, 0.16918468475341797,
    ]);
    const cut = init.truncNormal_(empty([4, 5]), { std: 1, a: -1, b: 0.5 }).toNumbers();
    near(cut.slice(0, 4), [0.25962740182876587, -0.17396099865436554, -0.678746223449707, -0.8383153676986694]);
    near(cut.slice(-2), [-0.3334478735923767, -0.14067143201828003]);
    expect(Math.max(...cut)).toBeLessThanOrEqual(0.5);
    near(
      init.truncNormal_(empty([2, 3]), { std: 0.02 }).toNumbers(),
      [
        0.006564625073224306, 0.01017078012228012, -0.0010308596538379788, -0.012495527975261211, 0.005688514094799757,
        -0.01826043613255024,
      ],
    );
    const own = init.normal_(empty([4, 5]), { mean: 0.5, std: 0.02, generator: new Generator(7) }).toNumbers();
    near(own.slice(0, 3), [0.4835973083972931, 0.5079126358032227, 0.5179781913757324]);
    // The generator above was another one: the default has not moved.
    expect(rand([1]).item()).toBe(0.4890913963317871);
  });

  test('a layer draws from the generator that it is given', () => {
    manualSeed(3);
    const one = new Linear(4, 4, { generator: new Generator(5) });
    const two = new Linear(4, 4, { generator: new Generator(5) });
    expect(one.bias!.toNumbers()).toEqual(two.bias!.toNumbers());
    const after = rand([1]).item();
    manualSeed(3);
    expect(rand([1]).item()).toBe(after);
  });

  test('norms begin as the identity', () => {
    const { weight, bias } = new LayerNorm(3);
    expect([weight!.toNumbers(), bias!.toNumbers()]).toEqual([
      [1, 1, 1],
      [0, 0, 0],
    ]);
  });
});

describe('initialisers', () => {
  test('skipInit draws nothing and ends also when the build throws', () => {
    manualSeed(0);
    const linear = skipInit(() => new Linear(64, 64));
    expect(linear.weight.shape).toEqual([64, 64]);
    expect(() =>
      skipInit(() => {
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(new Linear(3, 2).bias!.toNumbers()).toEqual([-0.011439144611358643, 0.45777493715286255]);
  });

  test('they leave no tensors behind and record no gradient', () => {
    const w = zeros([8, 8]).setRequiresGrad();
    const before = memoryStats().tensors;
    init.truncNormal_(init.kaimingUniform_(init.constant_(w, 2)), { std: 0.5, a: -1, b: 1 });
    expect([memoryStats().tensors, w.isLeaf]).toEqual([before, true]);
  });

  test('a weight without fan is refused', () => {
    expect(() => init.xavierUniform_(zeros([3]))).toThrow(ShapeError);
    expect(() => init.xavierUniform_(zeros([3]))).toThrow('at least 2 dimensions, received [3]');
  });

  test('bounds far from the mean are refused', () => {
    expect(() => init.truncNormal_(zeros([3]), { a: 1, b: 2 })).toThrow(ArgumentError);
    expect(() => init.truncNormal_(zeros([3]), { a: 1, b: 2 })).toThrow('received [1, 2]. Widen the bounds');
  });
});

/** Normal numbers come from vectorised logarithms and cosines, which differ by a rounding between CPU types. */
function near(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 6);
}
