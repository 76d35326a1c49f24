import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { describeGuidance, describeSampler, parseGuidance, samplerFrom } from './sample-options.ts';

const config = resolveConfig({ sampler: { mode: 'ODE', params: { sampling_method: 'euler', num_steps: 50 } } });
const { guidance } = config;

test.each([
  ['none', { scale: 1 }],
  ['cfg:1.5', { method: 'cfg', scale: 1.5, t_min: 0, t_max: 1 }],
  ['cfg:2@0.1-0.9', { method: 'cfg', scale: 2, t_min: 0.1, t_max: 0.9 }],
  ['auto:1.42@0-1', { method: 'autoguidance', scale: 1.42, t_min: 0, t_max: 1 }],
])('--guidance %s', (text, expected) => {
  expect(parseGuidance(text, guidance)).toMatchObject(expected);
});

test.each(['cfg', 'cfg:', 'cfg:0.9', 'cfg:1.5.1', 'free:2', 'cfg:2@0.9-0.1', 'cfg:2@0-2', 'cfg:2@0.5', ' cfg:2'])(
  '--guidance %s is refused with what would do',
  (text) => {
    expect(() => parseGuidance(text, guidance)).toThrow(
      /^--guidance: expected 'none', 'cfg:SCALE' or 'auto:SCALE'.*received/,
    );
  },
);

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
  expect(() => samplerFrom(config, { steps: 1 })).toThrow(/^--steps: expected at least 2 with --end reference/);
  expect(samplerFrom(config, { steps: 1, end: 'zero' })).toMatchObject({ steps: 1 });
});

test('a configuration for an SDE needs a sampler by flag', () => {
  const sde = resolveConfig({ sampler: { mode: 'SDE' } });
  expect(() => samplerFrom(sde, {})).toThrow(/sampler\.mode: expected 'ODE'/);
  expect(samplerFrom(sde, { sampler: 'euler' })).toMatchObject({ method: 'euler', steps: 50 });
});

test('sampler and guidance in words', () => {
  expect(describeSampler({ method: 'euler', steps: 50, end: 'reference' })).toBe('49 euler steps');
  expect(describeSampler({ method: 'heun2', steps: 50, end: 'zero' })).toBe('50 heun2 steps');
  expect(describeSampler({ method: 'dopri5', steps: 50, end: 'zero' })).toBe('dopri5 (chooses its own steps)');
  expect(describeGuidance(parseGuidance('cfg:2@0.1-0.9', guidance))).toBe('classifier-free guidance 2 in t 0.1 to 0.9');
  expect(describeGuidance(parseGuidance('none', guidance))).toBe('no guidance');
});
