import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { outcome, rae, type Stage, temporaryFolder, trainArguments, verbOf } from './small-runs.ts';

const folder = temporaryFolder();
const END = 8;
const ACCUMULATED = ['--set', 'training.grad_accum_steps=4'];

beforeAll(async () => {
  await rae(trainArguments('encoder', folder, join(folder, 'encoder'), ['--steps', String(END)]));
  await rae(trainArguments('rae', folder, join(folder, 'rae'), ['--steps', String(END)]));
});

describe.each<{ stage: Stage; more?: string[]; how: string }>([
  { stage: 'encoder', how: '' },
  { stage: 'rae', how: '' },
  { stage: 'adversarial', how: 'in float32' },
  { stage: 'adversarial', how: 'in bf16 with accumulation', more: ['--precision', 'bf16', ...ACCUMULATED] },
  { stage: 'dit', how: '' },
])('training: $stage $how', ({ stage, more = [], how }) => {
  it('gives the same bits when it is stopped and resumed at any step', async () => {
    const whole = join(folder, `${stage}-whole ${how}`);
    await rae(trainArguments(stage, folder, whole, [...more, '--steps', String(END)]));
    for (const stops of [[1], [3, 5]]) {
      const parted = join(folder, `${stage}-${stops.join('-')} ${how}`);
      for (const [i, stop] of [...stops, END].entries()) {
        const steps = ['--steps', String(stop)];
        await rae(
          i === 0
            ? trainArguments(stage, folder, parted, [...more, ...steps])
            : ['train', verbOf(stage), '--out', parted, '--resume', '--threads', '1', ...steps],
        );
      }
      expect(outcome(parted)).toEqual(outcome(whole));
    }
  });
});

describe('a run directory', () => {
  it('is not overwritten without --resume', async () => {
    await rae(trainArguments('encoder', folder, join(folder, 'encoder')), 2);
  });

  it('refuses flags that a resumed run would ignore', async () => {
    await rae(['train', 'encoder', '--out', join(folder, 'encoder'), '--resume', '--precision', 'bf16'], 2);
  });

  it('refuses to change what a resumed run computes', async () => {
    await rae(['train', 'encoder', '--out', join(folder, 'encoder'), '--resume', '--set', 'training.global_seed=1'], 2);
  });
});
