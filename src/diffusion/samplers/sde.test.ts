import { describe, expect, test } from 'vitest';
import { Generator, randn, type Tensor, tensor, tidy } from '../../tensor/index.ts';
import { ArgumentError } from '../../util/errors.ts';
import { gaussianOracle } from '../oracles.ts';
import { referenceGrid } from '../time.ts';
import {
  type DiffusionForm,
  diffusionFormNamed,
  diffusionForms,
  eulerMaruyama,
  sdeSamplerNamed,
  sdeSamplers,
} from './sde.ts';

const [mean, variance] = [
  [0.5, -1],
  [1.5, 0.4],
];
const velocity = () => gaussianOracle(tensor(mean!), tensor(variance!)).velocity;

describe('the reverse SDE', () => {
  test.each(
    Object.keys(sdeSamplers).flatMap((name) => Object.keys(diffusionForms).map((form) => [name, form] as const)),
  )('%s with %s diffusion ends in the data distribution', (name, form) => {
    tidy(() => {
      const generator = new Generator(5);
      const x = sdeSamplerNamed(name)(
        velocity(),
        randn([20000, 2], { generator }),
        referenceGrid(150, { interval: [0.002, 0.998] }),
        { diffusion: form as DiffusionForm, lastStep: 'mean', generator },
      );
      for (const [i, value] of x.mean(0).toNumbers().entries()) expect(Math.abs(value - mean![i]!)).toBeLessThan(0.04);
      for (const [i, value] of x.var(0).toNumbers().entries())
        expect(Math.abs(value / variance![i]! - 1)).toBeLessThan(0.05);
    });
  });

  test('norm 0 is the ODE', () => {
    tidy(() => {
      const noise = randn([4, 2], { generator: new Generator(1) });
      const times = referenceGrid(10, { interval: [0, 0.96] });
      const still = eulerMaruyama(velocity(), noise, times, { diffusion: 'sigma', norm: 0, lastStep: 'euler' });
      let x: Tensor = noise;
      const [field, steps] = [velocity(), [...times, 0]];
      for (let i = 1; i < steps.length; i++) x = x.add(field(x, steps[i - 1]!).mul(steps[i]! - steps[i - 1]!));
      expect(still.sub(x).abs().max().item()).toBeLessThan(1e-6);
    });
  });

  test('the same generator state gives the same sample', () => {
    const run = () =>
      tidy(() => {
        const options = { diffusion: 'sigma', generator: new Generator(9) } as const;
        return eulerMaruyama(
          velocity(),
          tensor([[1, 2]]),
          referenceGrid(10, { interval: [0, 0.96] }),
          options,
        ).toNumbers();
      });
    expect(run()).toEqual(run());
  });

  test('the last step is reported as the last of all', () => {
    tidy(() => {
      const seen: [number, number, number][] = [];
      const times = referenceGrid(4, { interval: [0, 0.9] });
      eulerMaruyama(velocity(), tensor([[1, 2]]), times, {
        diffusion: 'sigma',
        onStep: ({ step, of, t }) => seen.push([step, of, t]),
      });
      expect(seen.map(([step, of]) => [step, of])).toEqual([
        [1, 4],
        [2, 4],
        [3, 4],
        [4, 4],
      ]);
      expect(seen.at(-1)![2]).toBe(0);
    });
  });

  test("the reference's spellings are understood, unknown ones list the known", () => {
    expect(sdeSamplerNamed('Euler')).toBe(sdeSamplers.euler_maruyama);
    expect(diffusionFormNamed('SBDM')).toBe('sbdm');
    expect(diffusionFormNamed('inccreasing-decreasing')).toBe('increasing-decreasing');
    expect(() => diffusionFormNamed('sigmoid')).toThrow(
      "expected one of constant, sbdm, sigma, linear, decreasing, increasing-decreasing, received 'sigmoid'",
    );
    expect(() => sdeSamplerNamed('rk4')).toThrow('expected one of euler_maruyama, stochastic_heun');
  });

  test('grids that cannot work are refused', () => {
    tidy(() => {
      const run = (name: string, times: number[], options: object) => () =>
        sdeSamplerNamed(name)(velocity(), tensor([[1, 2]]), times, options);
      expect(run('euler', [0.1, 1], {})).toThrow(ArgumentError);
      expect(run('euler', [0.1, 1], {})).toThrow('decreasing times');
      expect(run('euler', [1, 0.1], { diffusion: 'sbdm' })).toThrow('a grid that starts below t = 1, received 1.');
      expect(run('euler', [1, 0], { diffusion: 'sigma', lastStep: 'mean' })).toThrow(
        "last step 'mean': expected a grid that ends above t = 0",
      );
      expect(run('heun', [1, 0], { diffusion: 'sigma', lastStep: 'none' })).toThrow(
        'heun: expected a grid that ends above t = 0',
      );
    });
  });
});
