import { describe, expect, test } from 'vitest';
import { parameter } from '../nn/index.ts';
import { memoryStats, tensor, tidy, zeros } from '../tensor/index.ts';
import { ArgumentError } from '../util/errors.ts';
import { clipGradNorm_, gradNorm, nonFiniteGrads } from './index.ts';

function withGrads(...grads: (number[] | undefined)[]) {
  return grads.map((grad) => {
    const p = parameter(zeros([grad?.length ?? 1]));
    if (grad) p.setGrad(tensor(grad));
    return p;
  });
}

describe('clipGradNorm_', () => {
  test('scales all gradients by one factor and returns the norm before', () => {
    const params = withGrads([3], undefined, [0, 4]);
    expect(clipGradNorm_(params, 1).item()).toBe(5);
    expect(params[0]!.grad!.item()).toBeCloseTo(0.6, 6);
    expect(params[2]!.grad!.toNumbers()[1]).toBeCloseTo(0.8, 6);
  });

  test('leaves gradients below the limit as they are', () => {
    const params = withGrads([0.3], [0.4]);
    expect(clipGradNorm_(params, 1).item()).toBeCloseTo(0.5, 6);
    expect(params[0]!.grad!.item()).toBe(Math.fround(0.3));
  });

  test('without any gradient the norm is 0', () => {
    expect(clipGradNorm_(withGrads(undefined), 1).item()).toBe(0);
  });

  test('a limit of 0 or NaN is refused and names the way to measure only', () => {
    for (const limit of [0, Number.NaN]) expect(() => clipGradNorm_(withGrads([1]), limit)).toThrow(ArgumentError);
    expect(() => clipGradNorm_(withGrads([1]), 0)).toThrow('Use gradNorm');
  });

  test('gradNorm measures without changing and keeps no tensor but its result', () => {
    const params = withGrads([3], [4]);
    const before = memoryStats().tensors;
    const norm = gradNorm(params);
    expect([norm.item(), memoryStats().tensors]).toEqual([5, before + 1]);
    expect(tidy(() => params[0]!.grad!.item())).toBe(3);
  });
});

test('nonFiniteGrads names the parameters to blame', () => {
  const [a, b, c, d] = withGrads([1], [Number.NaN, 1], [Number.POSITIVE_INFINITY], undefined);
  expect(
    nonFiniteGrads([
      ['a', a!],
      ['b', b!],
      ['c', c!],
      ['d', d!],
    ]),
  ).toEqual(['b', 'c']);
});
