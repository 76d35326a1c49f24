import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { outcome, rae, type Stage, temporaryFolder, trainArguments, verbOf } from './small-runs.ts';

const folder = temporaryFolder();
const END = 8;

beforeAll(async () => {
  await rae(trainArguments('encoder', folder, join(folder, 'encoder'), ['--steps', String(END)]));
  await rae(trainArguments('rae', folder, join(folder, 'rae'), ['--steps', String(END)]));
});

describe.each<Stage>(['encoder', 'rae', 'adversarial', 'accumulated', 'dit'])('training: %s', (stage) => {
  it('gives the same bits when it is stopped and resumed at any step', async () => {
    const whole = join(folder, `${stage}-whole`);
    await rae(trainArguments(stage, folder, whole, ['--steps', String(END)]));
    for (const stops of [[1], [3, 5]]) {
      const parted = join(folder, `${stage}-${stops.join('-')}`);
      for (const [i, stop] of [...stops, END].entries()) {
        const steps = ['--steps', String(stop)];
        await rae(
          i === 0
            ? trainArguments(stage, folder, parted, steps)
            : ['train', verbOf(stage), '--out', parted, '--resume', '--threads', '1', ...steps],
        );
      }
      expect(outcome(parted)).toEqual(outcome(whole));
    }
  });
});

it('a model without classes is trained, resumed, sampled and edited', async () => {
  const out = join(folder, 'without');
  const without = ['misc.num_classes=0', 'guidance.scale=1'].flatMap((value) => ['--set', value]);
  await rae(trainArguments('dit', folder, out, [...without.slice(0, 2), '--steps', '2']), 2); // the recipe's guidance
  await rae(trainArguments('dit', folder, out, [...without, '--steps', '2']));
  await rae(['train', 'dit', '--out', out, '--resume', '--threads', '1', '--steps', '4']);
  const few = ['--model', out, '--threads', '1', '--steps', '2', '--num', '2', '--out', join(folder, 'without.png')];
  await rae(['sample', ...few]);
  await rae(['sample', ...few, '--labels', 'ring'], 2);
  await rae(['edit', 'interpolate', ...few, '--seeds', '1,2']);
  await rae(['edit', 'vary', ...few, '--input', 'embedded']);
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
