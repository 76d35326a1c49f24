// npm run test:kill -- --times 50 --seed 0 [--stages rae,dit]: disturbs that many training runs of the stages, and sets of samples (`sample`),
// at random moments and inside writes, resumes them, and fails when one becomes unreadable or computes other bits. Needs `npm run build`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killOnce, undisturbed } from '../test/e2e/kill.ts';
import { killSampling, undisturbedSamples } from '../test/e2e/kill-sampling.ts';
import type { Stage } from '../test/e2e/small-runs.ts';

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '50' },
    seed: { type: 'string', default: '0' },
    stages: { type: 'string', default: 'rae,adversarial,accumulated,dit,online,cached,sample' },
  },
});
const [times, seed] = [Number(values.times), Number(values.seed)];
const folder = mkdtempSync(join(tmpdir(), 'rae-kill-'));
if (!Number.isInteger(times) || times < 1 || !Number.isInteger(seed)) {
  throw new Error(
    `test:kill: expected whole numbers for --times and --seed, received ${values.times} and ${values.seed}.`,
  );
}
const known: readonly (Stage | 'sample')[] = [
  'encoder',
  'rae',
  'adversarial',
  'accumulated',
  'dit',
  'online',
  'cached',
  'sample',
];
const unknown = values.stages.split(',').find((name) => !known.some((stage) => stage === name));
if (unknown !== undefined)
  throw new Error(`test:kill: expected some of ${known.join(',')} for --stages, received ${unknown}.`);
const stages = values.stages.split(',') as (Stage | 'sample')[];
/** Runs with an adversary die first before it, then while it learns alone, then in the game, in turn. */
const phaseOf = (stage: Stage, number: number) =>
  stage === 'adversarial' || stage === 'accumulated' ? { phase: Math.floor(number / stages.length) } : {};

let failed = 0;
const training = stages.filter((stage) => stage !== 'sample');
const base = training.length === 0 ? undefined : await undisturbed(folder, training);
const samples = stages.includes('sample') ? await undisturbedSamples(folder) : undefined;
for (let number = 0; number < times; number++) {
  try {
    const stage = stages[number % stages.length]!;
    console.log(
      await (stage === 'sample'
        ? killSampling(samples!, { seed, number })
        : killOnce(base!, { stage, seed, number, ...phaseOf(stage, number) })),
    );
  } catch (error) {
    failed++;
    console.error(error instanceof Error ? error.message : error);
  }
}
if (failed === 0) rmSync(folder, { recursive: true, force: true });
else console.error(`the runs are in ${folder}`);
console.log(`${times - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
