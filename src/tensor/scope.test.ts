import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../util/errors.ts';
import { dispose, keep, memoryStats, ones, type Tensor, tidy } from './index.ts';

const live = () => memoryStats().tensors;

describe('tidy', () => {
  it('frees what was made inside and returns what is returned, nested in plain structures', () => {
    const before = live();
    const out = tidy(() => {
      const a = ones([2]).add(1);
      return { list: [a.mul(2)], map: new Map([['k', a.neg()]]), n: 3 };
    });
    expect(live() - before).toBe(2);
    expect(out.list[0]?.toNumbers()).toEqual([4, 4]);
    expect(out.map.get('k')?.toNumbers()).toEqual([-2, -2]);
    dispose(out);
    expect(live()).toBe(before);
  });

  it('hands returned tensors to the enclosing scope', () => {
    const before = live();
    tidy(() => {
      tidy(() => ones([2])).add(1);
    });
    expect(live()).toBe(before);
  });

  it('frees everything when the callback throws', () => {
    const before = live();
    expect(() =>
      tidy(() => {
        ones([2]);
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(live()).toBe(before);
  });

  it('leaves kept tensors to their owner', () => {
    let kept: Tensor | undefined;
    tidy(() => {
      kept = keep(ones([2]));
    });
    expect(kept?.toNumbers()).toEqual([1, 1]);
    kept?.dispose();
  });

  it('refuses a callback that returns a promise', () => {
    expect(() => tidy(async () => ones([1]))).toThrow(ArgumentError);
  });

  it('accepts a tensor that was disposed inside by hand', () => {
    const before = live();
    tidy(() => ones([1]).dispose());
    expect(live()).toBe(before);
  });

  it('frees more tensors than the free list holds', () => {
    const before = live();
    tidy(() => {
      const x = ones([1]);
      for (let i = 0; i < 10_000; i++) x.add(1);
    });
    expect(live()).toBe(before);
  });
});
