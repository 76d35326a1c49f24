import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { describeGuidance, parseGuidance } from '../inference/guidance-choice.ts';
import { describeSampler, samplerFrom } from './sampling-options.ts';

const config = resolveConfig({
  sampler: { mode: 'ODE', params: { sampling_method: 'euler', num_steps: 50 } },
  misc: { num_classes: 4 },
});
const model = { config, classes: ['ring', 'star', 'moon', 'tea cup'] };
const sde = resolveConfig({ sampler: { mode: 'SDE', params: { diffusion_form: 'inccreasing-decreasing' } } });

test.each([
  ['none', {}],
  ['cfg:1.5', { cfg: { scale: 1.5, t_min: 0, t_max: 1 } }],
  ['auto:1.42@0.1-0.9', { auto: { scale: 1.42, t_min: 0.1, t_max: 0.9 } }],
  ['cfg:1.5,ring=2,3=4', { cfg: { scale: [2, 1.5, 1.5, 4], t_min: 0, t_max: 1 } }],
  [
    'cfg:1,tea cup=3@0.2-0.8+auto:1.4',
    { cfg: { scale: [1, 1, 1, 3], t_min: 0.2, t_max: 0.8 }, auto: { scale: 1.4, t_min: 0, t_max: 1 } },
  ],
])('--guidance %s', (text, expected) => {
  expect(parseGuidance(text, model)).toEqual(expected);
});

test.each([
  ...[
    'cfg',
    'cfg:',
    'cfg:0.9',
    'cfg:1.5.1',
    'free:2',
    'cfg:2@0.9-0.1',
    'cfg:2@0-2',
    'cfg:2@0.5',
    ' cfg:2',
    'cfg:2+cfg:3',
  ],
  ...['cfg:1.5,ring', 'cfg:1.5,ring=0.5', 'cfg:1.5,all=2', 'cfg:1.5+'],
])('--guidance %s is refused with what would do', (text) => {
  expect(() => parseGuidance(text, model)).toThrow(
    /^--guidance: expected 'none', 'cfg:SCALE' or 'auto:SCALE'.*received/,
  );
});

test('a scale for a class that is none is refused with the nearest one', () => {
  expect(() => parseGuidance('cfg:1.5,rign=2', model)).toThrow(
    /^--guidance: .* received 'rign'\. Did you mean 'ring'\?/,
  );
});

test('flags win over the configuration, one by one', () => {
  expect(samplerFrom(config, {})).toMatchObject({ method: 'euler', steps: 50, end: 'reference' });
  expect(samplerFrom(config, { sampler: 'heun2', end: 'zero' })).toMatchObject({
    method: 'heun2',
    steps: 50,
    end: 'zero',
  });
});

test('an unknown sampler and too few steps are refused', () => {
  expect(() => samplerFrom(config, { sampler: 'heun' })).toThrow(
    /^--sampler: expected one of euler, .*Did you mean 'heun2'\?$/,
  );
  expect(() => samplerFrom(config, { sampler: 'euler_maruyana' })).toThrow(/Did you mean 'euler_maruyama'\?$/);
  expect(() => samplerFrom(config, { steps: 1 })).toThrow(/^--steps: expected at least 2 with --end reference/);
  expect(samplerFrom(config, { steps: 1, end: 'zero' })).toMatchObject({ steps: 1 });
});

test('a stochastic sampler comes from the configuration or by flag, its diffusion and last step too', () => {
  expect(samplerFrom(sde, {})).toEqual({
    method: 'euler_maruyama',
    steps: 250,
    end: 'reference',
    sde: { diffusion: 'increasing-decreasing', norm: 1, lastStep: 'mean', lastStepSize: 0.04 },
  });
  const flags = { sampler: 'stochastic_heun', steps: 100, diffusion: 'sbdm:0.5', lastStep: 'tweedie:0.01' };
  expect(samplerFrom(config, flags)).toEqual({
    method: 'stochastic_heun',
    steps: 100,
    end: 'reference',
    sde: { diffusion: 'sbdm', norm: 0.5, lastStep: 'tweedie', lastStepSize: 0.01 },
  });
  expect(samplerFrom(sde, { sampler: 'euler' })).toMatchObject({ method: 'euler', steps: 50 });
});

test.each([
  [{ diffusion: 'sigma' }, /^--diffusion: expected a stochastic sampler beside it/],
  [{ sampler: 'euler_maruyama', end: 'zero' as const }, /^--end: expected 'reference' with euler_maruyama/],
  [{ sampler: 'euler_maruyama', diffusion: 'sigmoid' }, /^--diffusion: .* Did you mean 'sigma'\?/],
  [{ sampler: 'euler_maruyama', lastStep: 'mean:2' }, /^--last-step: expected a size between 0 and 1, received 2/],
  [{ sampler: 'dopri5', reuseEncoder: 2 }, /^--reuse-encoder: expected a sampler of fixed steps, received 'dopri5'/],
])('flags that do not go together are refused: %j', (flags, message) => {
  expect(() => samplerFrom(config, flags)).toThrow(message);
});

test('sampler and guidance in words', () => {
  expect(describeSampler({ method: 'euler', steps: 50, end: 'reference' })).toBe('49 euler steps');
  expect(describeSampler({ method: 'heun2', steps: 50, end: 'zero', reuseEncoder: 2 })).toBe(
    '50 heun2 steps, the encoder at every 2',
  );
  expect(describeSampler({ method: 'dopri5', steps: 50, end: 'zero' })).toBe('dopri5 (chooses its own steps)');
  expect(describeSampler(samplerFrom(sde, {}))).toBe(
    '249 euler_maruyama steps with increasing-decreasing diffusion, last step mean from 0.04 before the shift',
  );
  expect(describeGuidance(parseGuidance('cfg:2@0.1-0.9+auto:1.4,ring=2', model))).toBe(
    'classifier-free guidance 2 in t 0.1 to 0.9 and autoguidance 1.4 to 2 by class',
  );
  expect(describeGuidance({})).toBe('no guidance');
});
