// What could go wrong when user code runs in the middle: in a sampler's onStep, in getters that the addon meets while it reads
// arguments, in nested scopes. It may use the library, free what it was lent, or throw.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { samplers } from '../../src/diffusion/index.ts';
import * as t from '../../src/tensor/index.ts';
import { ArgumentError, DisposedError } from '../../src/util/errors.ts';

let before = 0;
beforeEach(() => {
  before = t.memoryStats().tensors;
});
afterEach(() => {
  expect(t.memoryStats().tensors, 'live tensors after the test').toBe(before);
});

const times = [1, 0.7, 0.3, 0];
const decay = (x: t.Tensor) => x.neg();

describe('onStep', () => {
  it('may compute, differentiate and sample again', () => {
    const noise = t.ones([2, 2]);
    const seen: number[] = [];
    const out = samplers.heun2(decay, noise, times, {
      onStep: ({ x }) => {
        seen.push(t.tidy(() => x.sum().item()));
        t.tidy(() => {
          const w = t.ones([2, 2]).setRequiresGrad();
          t.backward(w.mul(x).sum());
          samplers.euler(decay, noise, times);
        });
      },
    });
    const plain = samplers.heun2(decay, noise, times);
    expect(seen).toHaveLength(3);
    expect(out.toNumbers()).toEqual(plain.toNumbers());
    t.dispose([noise, out, plain]);
  });

  it('that throws ends the sampler, which frees its states and not the noise', () => {
    const noise = t.ones([2]);
    const stop = ({ step }: { step: number }) => {
      if (step === 2) throw new Error('cancelled');
    };
    for (const name of ['euler', 'heun2', 'ab2', 'dpmpp_2m', 'dopri5'] as const) {
      expect(() => samplers[name](decay, noise, times, { onStep: stop })).toThrow('cancelled');
    }
    expect(noise.toNumbers()).toEqual([1, 1]);
    noise.dispose();
  });

  it('that frees the state it was lent makes the next step say so', () => {
    const noise = t.ones([2]);
    expect(() => samplers.euler(decay, noise, times, { onStep: ({ x }) => x.dispose() })).toThrow(DisposedError);
    noise.dispose();
  });

  it('runs outside of the step: what it makes is its own to free', () => {
    const noise = t.ones([2]);
    const clones: t.Tensor[] = [];
    const out = samplers.euler(decay, noise, times, { onStep: ({ x }) => clones.push(x.clone()) });
    expect(clones.at(-1)?.toNumbers()).toEqual(out.toNumbers());
    t.dispose([noise, out, clones]);
  });
});

describe('a getter among the arguments', () => {
  const dims = (get: () => number) => Object.defineProperty([0], 0, { get });

  it('may call other operators, also ones never used before', () => {
    t.tidy(() => {
      const x = t.ones([2, 3]);
      const get = () => {
        t.ones([2]).add(1);
        t.call('aten::digamma', [t.ones([2])]);
        return 0;
      };
      expect(x.sum(dims(get)).toNumbers()).toEqual([2, 2, 2]);
      expect(x.reshape(dims(() => x.sum(dims(get)).numel * 2)).shape).toEqual([6]);
    });
  });

  it('that throws is the error that arrives', () => {
    t.tidy(() => {
      const x = t.ones([2, 3]);
      const mine = new RangeError('mine');
      const run = () =>
        x.sum(
          dims(() => {
            throw mine;
          }),
        );
      expect(run).toThrow(mine);
      expect(x.sum([0]).toNumbers()).toEqual([2, 2, 2]);
    });
  });

  it('may free the very tensor that is asked', () => {
    t.tidy(() => {
      const x = t.ones([2, 3]);
      const get = () => {
        x.dispose();
        return 0;
      };
      expect(x.sum(dims(get)).toNumbers()).toEqual([2, 2, 2]); // it was read before
      expect(x.disposed).toBe(true);
    });
  });
});

describe('scopes', () => {
  it('nest by the thousand', () => {
    const deep = (n: number): t.Tensor => t.tidy(() => (n === 0 ? t.ones([1]) : deep(n - 1).add(1)));
    const x = deep(1000);
    expect(x.item()).toBe(1001);
    x.dispose();
  });

  it('refuse a promise and any other thenable', () => {
    expect(() => t.tidy(async () => t.ones([1]))).toThrow(ArgumentError);
    // biome-ignore lint/suspicious/noThenProperty: the point of the test
    expect(() => t.tidy(() => ({ then: () => 1 }))).toThrow(/synchronous/);
  });

  it('opened by a generator function are over when it yields', () => {
    function* numbers() {
      for (let i = 0; i < 3; i++) yield t.tidy(() => t.ones([2]).mul(i).sum().item());
    }
    expect([...numbers()]).toEqual([0, 2, 4]);
  });
});
