import { describe, expect, test } from 'vitest';
import { cat, tensor, tidy } from '../tensor/index.ts';
import { ArgumentError } from '../util/errors.ts';
import { doubledVelocity, guidedVelocity, inInterval, type LabelledVelocity } from './guidance.ts';

const nullLabel = 10;
const labels = () => tensor([3, 1], { dtype: 'i64' });
const state = () =>
  tensor([
    [1, 2],
    [3, 4],
  ]);

/** Velocity label * x, and how many rows it was asked for. */
function network(factor = 1) {
  const rows: number[] = [];
  const model: LabelledVelocity = (x, _t, y) => {
    rows.push(x.size(0));
    return x.mul(y.to('f32').mul(factor).unsqueeze(1));
  };
  return { model, rows };
}

describe('guidedVelocity', () => {
  test('classifier-free guidance is u + w (c - u)', () => {
    tidy(() => {
      const { model } = network();
      const v = guidedVelocity(model, labels(), { cfg: { scale: 1.5, nullLabel } })(state(), 0.5);
      expect(v.toNumbers()).toEqual([-0.5, -1, -10.5, -14]);
    });
  });

  test('scale 1 is the conditional velocity, without a null half', () => {
    tidy(() => {
      const { model, rows } = network();
      const v = guidedVelocity(model, labels(), { cfg: { scale: 1, nullLabel } })(state(), 0.5);
      expect(v.toNumbers()).toEqual(guidedVelocity(model, labels())(state(), 0.5).toNumbers());
      expect(rows).toEqual([2, 2]);
    });
  });

  test('a guide equal to the network changes nothing, whatever the scale', () => {
    tidy(() => {
      const { model } = network();
      const v = guidedVelocity(model, labels(), { auto: { scale: 3, guide: model } })(state(), 0.5);
      expect(v.toNumbers()).toEqual([3, 6, 3, 4]);
    });
  });

  test('autoguidance asks the guide for the same labels and computes no null half', () => {
    tidy(() => {
      const [main, weak] = [network(), network(0.5)];
      const v = guidedVelocity(main.model, labels(), { auto: { scale: 2, guide: weak.model } })(state(), 0.5);
      expect(v.toNumbers()).toEqual([4.5, 9, 4.5, 6]); // g + 2 (c - g), g = c / 2
      expect([main.rows, weak.rows]).toEqual([[2], [2]]);
    });
  });

  test('outside the interval nothing but the conditional velocity is computed', () => {
    tidy(() => {
      const [main, weak] = [network(), network(0.5)];
      const interval = [0.2, 0.8] as const;
      const cfg = guidedVelocity(main.model, labels(), { cfg: { scale: 2, nullLabel, interval } });
      const auto = guidedVelocity(main.model, labels(), { auto: { scale: 2, guide: weak.model, interval } });
      for (const velocity of [cfg, auto]) expect(velocity(state(), 0.9).toNumbers()).toEqual([3, 6, 3, 4]);
      expect([main.rows, weak.rows]).toEqual([[2, 2], []]);
    });
  });

  test('both at once add their pushes, each in its own interval', () => {
    tidy(() => {
      const [main, weak] = [network(), network(0.5)];
      const velocity = guidedVelocity(main.model, labels(), {
        cfg: { scale: 1.5, nullLabel, interval: [0, 0.6] },
        auto: { scale: 2, guide: weak.model, interval: [0.4, 1] },
      });
      expect(velocity(state(), 0.2).toNumbers()).toEqual([-0.5, -1, -10.5, -14]);
      expect(velocity(state(), 0.8).toNumbers()).toEqual([4.5, 9, 4.5, 6]);
      expect(velocity(state(), 0.5).toNumbers()).toEqual([1, 2, -9, -12]); // c + 0.5 (c - u) + (c - g)
    });
  });

  test('a list gives each class its own scale', () => {
    tidy(() => {
      const { model } = network();
      const single = (scale: number) =>
        guidedVelocity(model, labels(), { cfg: { scale, nullLabel } })(state(), 0.5).toNumbers();
      const v = guidedVelocity(model, labels(), { cfg: { scale: [1, 1.5, 1, 4], nullLabel } })(
        state(),
        0.5,
      ).toNumbers();
      expect(v).toEqual([...single(4).slice(0, 2), ...single(1.5).slice(2)]);
    });
  });

  test('bad terms are refused when the velocity is made', () => {
    tidy(() => {
      const { model } = network();
      const make = (term: object) => () => guidedVelocity(model, labels(), { cfg: { scale: 2, nullLabel, ...term } });
      expect(make({ scale: 0.5 })).toThrow(ArgumentError);
      expect(make({ scale: 0.5 })).toThrow('cfg scale: expected a number of at least 1, received 0.5.');
      expect(make({ scale: [2, 2] })).toThrow('with one scale for every class, label 3 too');
      expect(make({ interval: [0.8, 0.2] })).toThrow('cfg interval: expected t_min < t_max, received [0.8, 0.2].');
      expect(make({ interval: [0.5, 0.5] })).toThrow('expected t_min < t_max');
    });
  });
});

describe('the interval', () => {
  test('both ends belong to it, compared as float32', () => {
    expect(inInterval(Math.fround(0.7), [0.7, 1])).toBe(true);
    expect(inInterval(Math.fround(0.7), [0.1, 0.7])).toBe(true);
    expect(inInterval(0.69, [0.7, 1])).toBe(false);
  });
});

describe('doubledVelocity', () => {
  test("the first half is the guided velocity, the second cfg's again", () => {
    tidy(() => {
      const { model } = network();
      const x = cat([state(), state()], 0);
      const plain = guidedVelocity(model, labels(), { cfg: { scale: 2, nullLabel } })(state(), 0.5).toNumbers();
      expect(doubledVelocity(model, labels(), { cfg: { scale: 2 }, nullLabel })(x, 0.5).toNumbers()).toEqual([
        ...plain,
        ...plain,
      ]);
    });
  });

  test('autoguidance runs its second half under the null label', () => {
    tidy(() => {
      const [main, weak] = [network(), network(0.5)];
      const x = cat([state(), state()], 0);
      const v = doubledVelocity(main.model, labels(), { auto: { scale: 2, guide: weak.model }, nullLabel })(x, 0.5);
      expect(v.toNumbers()).toEqual([4.5, 9, 4.5, 6, 15, 30, 45, 60]);
    });
  });

  test('it takes one kind of guidance', () => {
    tidy(() =>
      expect(() => doubledVelocity(network().model, labels(), { nullLabel })).toThrow(
        "either cfg or auto, received 'neither'",
      ),
    );
  });
});
