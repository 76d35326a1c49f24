import { beforeAll, expect, it } from 'vitest';
import { killOnce, type Undisturbed, undisturbed } from './kill.ts';
import { killSampling, type UndisturbedSamples, undisturbedSamples } from './kill-sampling.ts';
import { temporaryFolder } from './small-runs.ts';

let base: Undisturbed;
let samples: UndisturbedSamples;

beforeAll(async () => {
  base = await undisturbed(temporaryFolder(), ['rae', 'adversarial', 'dit']);
  samples = await undisturbedSamples(base.folder);
});

it.each([
  { stage: 'rae', number: 1 },
  { stage: 'dit', number: 2 },
  { stage: 'rae', number: 3 },
  { stage: 'dit', number: 4 },
  { stage: 'encoder', number: 5 },
  { stage: 'adversarial', number: 6, phase: 1 },
] as const)(
  'a $stage run that is killed again and again computes the same bits (point $number)',
  async ({ stage, number, ...more }) => {
    await expect(killOnce(base, { stage, seed: 0, number, ...more })).resolves.toContain(stage);
  },
);

it('a set of samples that is killed again and again is the same bytes', async () => {
  await expect(killSampling(samples, { seed: 0, number: 1 })).resolves.toContain('sample');
});
