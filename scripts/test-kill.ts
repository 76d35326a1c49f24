// npm run test:kill -- --times 50 --seed 0 [--stages rae,dit]: disturbs that many training runs of the stages at random moments and inside
// writes, resumes them, and fails when one becomes unreadable or computes other bits. Needs `npm run build`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killOnce, undisturbed } from '../test/e2e/kill.ts';
import type { Stage } from '../test/e2e/small-runs.ts';

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '50' },
    seed: { type: 'string', default: '0' },
    stages: { type: 'string', default: 'rae,adversarial,accumulated,dit' },
  },
});
const [times, seed] = [Number(values.times), Number(values.seed)];
const folder = mkdtempSync(join(tmpdir(), 'rae-kill-'));
if (!Number.isInteger(times) || times < 1 || !Number.isInteger(seed)) {
  throw new Error(
    `test:kill: expected whole numbers for --times and --seed, received ${values.times} and ${values.seed}.`,
  );
}
const known: readonly Stage[] = ['encoder', 'rae', 'adversarial', 'accumulated', 'dit'];
const unknown = values.stages.split(',').find((name) => !known.some((stage) => stage === name));
if (unknown !== undefined)
  throw new Error(`test:kill: expected some of ${known.join(',')} for --stages, received ${unknown}.`);
let failed = 0;
const stages = values.stages.split(',') as Stage[];
const base = await undisturbed(folder, stages);
for (let number = 0; number < times; number++) {
  try {
    console.log(await killOnce(base, { stage: stages[number % stages.length]!, seed, number }));
  } catch (error) {
    failed++;
    console.error(error instanceof Error ? error.message : error);
  }
}
if (failed === 0) rmSync(folder, { recursive: true, force: true });
else console.error(`the runs are in ${folder}`);
console.log(`${times - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
