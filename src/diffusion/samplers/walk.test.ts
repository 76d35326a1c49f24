import { describe, expect, test } from 'vitest';
import { memoryStats, tensor, tidy, zeros } from '../../tensor/index.ts';
import { ArgumentError } from '../../util/errors.ts';
import { gridToZero, referenceGrid } from '../time.ts';
import { type SamplerName, sampleOde, samplerNamed, samplers, samplersBeforeEnd } from './index.ts';
import { sdeSamplers } from './sde.ts';
import type { Velocity } from './walk.ts';

const names = Object.keys(samplers) as SamplerName[];
const all = [
  ...Object.entries(samplers),
  ...Object.entries(sdeSamplers).map(([name, run]) => [`sde ${name}`, run] as const),
];
const times = referenceGrid(21, { interval: [0.01, 0.99] });
const field: Velocity = (x, t) => x.mul(-t).sub(0.1);

describe('ownership', () => {
  test.each(all)('%s keeps no tensor but its result, and the number alive is flat over steps', (_name, sampler) => {
    const noise = tensor([[0.5, -1]]);
    const before = memoryStats().tensors;
    const alive: number[] = [];
    const x = sampler(field, noise, times, { onStep: () => alive.push(memoryStats().tensors - before) });
    expect(memoryStats().tensors).toBe(before + 1);
    expect(Math.max(...alive)).toBeLessThanOrEqual(16); // the state and what the method remembers
    expect(noise.toNumbers()).toEqual([0.5, -1]);
    x.dispose();
    noise.dispose();
  });

  test.each(all)('%s frees everything when onStep throws to cancel', (_name, sampler) => {
    const noise = tensor([[0.5, -1]]);
    const before = memoryStats().tensors;
    const cancel = () =>
      sampler(field, noise, times, {
        onStep: ({ step }) => {
          if (step === 7) throw new Error('cancelled');
        },
      });
    expect(cancel).toThrow('cancelled');
    expect(memoryStats().tensors).toBe(before);
    noise.dispose();
  });

  test.each(all)(
    "%s frees everything when the velocity throws, and leaves the velocity's own tensors alone",
    (_name, sampler) => {
      const noise = tensor([[0.5, -1]]);
      const constant = tensor([[1, 2]]);
      const before = memoryStats().tensors;
      let calls = 0;
      const failing: Velocity = () => {
        if (++calls > 9) throw new Error('no more');
        return constant;
      };
      expect(() => sampler(failing, noise, times, { rtol: 1e-12, atol: 1e-12 } as object)).toThrow('no more');
      expect(memoryStats().tensors).toBe(before);
      sampler(() => constant, noise, times).dispose();
      expect(constant.toNumbers()).toEqual([1, 2]);
      noise.dispose();
      constant.dispose();
    },
  );

  test.each(names)('%s keeps what onStep clones', (name) => {
    tidy(() => {
      const seen: { t: number; value: number }[] = [];
      const clones = [] as ReturnType<typeof tensor>[];
      const x = samplers[name](field, tensor([1]), times, {
        onStep: ({ step, of, t, x }) => {
          expect([step, of]).toEqual([seen.length + 1, 20]);
          seen.push({ t, value: x.item() });
          clones.push(x.clone());
        },
      });
      expect(clones.map((clone) => clone.item())).toEqual(seen.map(({ value }) => value));
      expect(seen.map(({ t }) => t)).toEqual(times.slice(1));
      expect(x.item()).toBe(seen.at(-1)!.value);
    });
  });

  test.each(names)('%s records no gradients', (name) => {
    tidy(() => {
      const weight = tensor([2]).setRequiresGrad();
      expect(samplers[name]((x) => x.mul(weight), tensor([1]), [1, 0.5]).requiresGrad).toBe(false);
    });
  });
});

describe('precision', () => {
  test.each(names)('%s keeps a float32 state under a bf16 velocity', (name) => {
    tidy(() => {
      const x = samplers[name]((x, t) => field(x, t).to('bf16'), tensor([1]), times);
      expect(x.dtype).toBe('f32');
      const exact = samplers[name](field, tensor([1]), times).item();
      expect(Math.abs(x.item() - exact)).toBeLessThan(name === 'explicit_adams' ? 0.5 : 0.05); // its weights amplify rounding
    });
  });
});

describe('evaluations', () => {
  test.each([
    ['euler', 20],
    ['midpoint', 40],
    ['heun2', 40],
    ['heun3', 60],
    ['rk4', 80],
    ['explicit_adams', 26],
    ['ab2', 20],
    ['dpmpp_2m', 20],
  ] as const)('%s asks %i times in 20 steps', (name, wanted) => {
    tidy(() => expect(sampleOde(name, field, tensor([1]), { times }).evaluations).toBe(wanted));
  });
});

describe('arguments', () => {
  test.each(names.filter((name) => name !== 'explicit_adams'))(
    '%s looks at the last time or beyond, or is said not to',
    (name) => {
      const asked: number[] = [];
      const seen: Velocity = (x, t) => {
        asked.push(t);
        return field(x, t);
      };
      tidy(() => samplerNamed(name)(seen, tensor([[0.5]]), gridToZero(5)));
      expect(Math.min(...asked) <= 0).toBe(!samplersBeforeEnd.includes(name));
    },
  );

  test('an unknown sampler lists the known ones', () => {
    expect(() => samplerNamed('tsit5')).toThrow(ArgumentError);
    expect(() => samplerNamed('tsit5')).toThrow('expected one of euler, midpoint, heun2,');
    expect(() => samplerNamed('heun')).toThrow("received 'heun'. Did you mean 'heun2'?");
  });

  test.each([
    [[1], 'expected at least two times (one step), received [1].'],
    [[1, 0.5, 0.6], 'expected strictly decreasing or increasing times, received [1, 0.5, 0.6].'],
    [[1, 1, 0], 'expected strictly decreasing or increasing times'],
    [[1, Number.NaN], 'expected strictly decreasing or increasing times'],
  ])('the grid %j is refused', (grid, message) => {
    tidy(() => {
      for (const name of names) expect(() => samplers[name](field, tensor([1]), grid)).toThrow(message);
    });
  });

  test('a bf16 state is refused', () => {
    tidy(() => {
      const run = () => samplers.euler(field, zeros([1], { dtype: 'bf16' }), times);
      expect(run).toThrow(
        "euler: expected a state of dtype 'f32' or 'f64', received 'bf16'. The state is kept in float32",
      );
    });
  });
});
