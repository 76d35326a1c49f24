import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readMetrics } from '../../src/runs/index.ts';
import { rae, temporaryFolder } from './small-runs.ts';

// What the shipped weights came from: when this changes, assets/ must be made anew (rae demo --full).
it('the recipe of the shipped encoder still begins with the same losses', async () => {
  const out = join(temporaryFolder(), 'encoder');
  const everyStep = ['--set', 'training.log_interval=1'];
  await rae([
    'train',
    'encoder',
    '--recipe',
    'embedded-encoder',
    '--out',
    out,
    '--threads',
    '1',
    '--steps',
    '4',
    ...everyStep,
  ]);
  const losses = readMetrics(join(out, 'metrics.jsonl')).map((line) => line['loss/total'] as number);
  const recorded = [1.472829, 1.479257, 1.472621, 1.466728];
  expect(losses).toHaveLength(recorded.length);
  for (const [i, loss] of losses.entries()) expect(Math.abs(loss - recorded[i]!)).toBeLessThan(1e-4);
});
