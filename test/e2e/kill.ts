// Kills training runs at seeded moments — between steps, inside a write, by signal — resumes them, and compares what they computed
// with the run that nobody disturbed. Used by kill.test.ts (a few points) and by `npm run test:kill` (many).

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Draws } from '../../src/data/random.ts';
import { latestCheckpoint } from '../../src/runs/index.ts';
import { cacheArguments, outcome, type Stage, trainArguments, verbOf } from './small-runs.ts';

const RAE = fileURLToPath(new URL('../../bin/rae.mjs', import.meta.url));
const END = 9;

/** Places inside a write (src/util/failpoint.ts); the number is the visit that kills. */
const FAILPOINTS = [
  'checkpoint-mid-write@1',
  'checkpoint-mid-write@2',
  'checkpoint-mid-write@3',
  'checkpoint-before-rename@1',
  'checkpoint-before-rename@2',
  'checkpoint-after-rename@1',
  'checkpoint-after-rename@2',
  'latest-before-rename@1',
  'latest-before-rename@2',
  'retention-mid-delete@1',
  'atomic-write:middle@1',
  'atomic-write:before-rename@2',
];

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  seconds: number;
  errors: string;
}

export interface Disturbance {
  failpoint?: string | undefined;
  signal?: 'SIGKILL' | 'SIGTERM' | 'SIGINT';
  afterMs?: number;
}

/** Runs `rae` as a child process, disturbed or not. */
export function child(args: readonly string[], { failpoint, signal, afterMs = 0 }: Disturbance = {}): Promise<Ended> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...(failpoint && { RAE_FAILPOINT: failpoint }) };
    const run = spawn(process.execPath, [RAE, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    run.stderr.on('data', (text) => {
      errors += String(text);
    });
    const timer = signal && setTimeout(() => run.kill(signal), afterMs);
    run.on('error', reject);
    run.on('close', (code, by) => {
      clearTimeout(timer);
      resolve({ code, signal: by, seconds: (performance.now() - started) / 1000, errors });
    });
  });
}

/** Of the adversarial stages: a checkpoint lies in each phase. */
const PHASE_STARTS = ['--set', 'gan.loss.disc_upd_start_step=3', '--set', 'gan.loss.disc_start_step=6'];

/** The first kill of an adversarial run: its phase, and the steps of it (counted from 1) before which the process can die. */
const PHASES = [
  { phase: 'before the discriminator', steps: [3] },
  { phase: 'discriminator alone', steps: [4, 5, 6] },
  { phase: 'adversarial', steps: [7, 8, 9] },
] as const;

const complete = (stage: Stage, folder: string, out: string) =>
  trainArguments(stage, folder, out, [
    '--steps',
    String(END),
    '--set',
    'training.keep_checkpoints=2',
    '--set',
    'training.checkpoint_every=2',
    ...(stage === 'adversarial' || stage === 'accumulated' ? PHASE_STARTS : []),
  ]);
const resumed = (stage: Stage, out: string) => [
  'train',
  verbOf(stage),
  '--out',
  out,
  '--resume',
  '--threads',
  '1',
  '--steps',
  String(END),
];

export interface Undisturbed {
  folder: string;
  outcomes: Partial<Record<Stage, Record<string, string>>>;
  seconds: Partial<Record<Stage, number>>;
}

/** The runs to compare with: an encoder, then the stages over it. */
export async function undisturbed(folder: string, stages: readonly Stage[]): Promise<Undisturbed> {
  const result: Undisturbed = { folder, outcomes: {}, seconds: {} };
  for (const stage of new Set<Stage>(['encoder', 'rae', ...stages])) {
    if (stage === 'cached') for (const args of cacheArguments(folder)) await child(args);
    const out = join(folder, stage);
    const { code, seconds, errors } = await child(complete(stage, folder, out));
    if (code !== 0) throw new Error(`${stage}: expected exit code 0, received ${code}: ${errors}`);
    result.outcomes[stage] = outcome(out);
    result.seconds[stage] = seconds;
  }
  return result;
}

/**
 * Disturbs one run, an adversarial one with a `phase` first in that phase (0 to 2), until it is done; throws when it becomes unreadable or ends with other bits. Says what it
 * did.
 */
export async function killOnce(
  base: Undisturbed,
  { stage, seed, number, phase }: { stage: Stage; seed: number; number: number; phase?: number },
): Promise<string> {
  const draws = new Draws(seed, number);
  const out = join(base.folder, `${stage}-killed-${number}`);
  const did: string[] = [];
  for (let attempt = 0; ; attempt++) {
    const begun = latestCheckpoint(out) !== undefined;
    const args = begun ? resumed(stage, out) : complete(stage, base.folder, out);
    const first = attempt === 0 && phase !== undefined ? PHASES[phase % PHASES.length] : undefined;
    const disturbance: Disturbance = first
      ? { failpoint: `step@${first.steps[draws.below(first.steps.length)]}` }
      : attempt < 3
        ? draw(draws, (base.seconds[stage] ?? 2) * 1000)
        : {};
    if (first) did.push(first.phase);
    const ended = await child(args, disturbance);
    did.push(
      disturbance.failpoint ??
        (disturbance.signal ? `${disturbance.signal} after ${Math.round(disturbance.afterMs ?? 0)} ms` : 'undisturbed'),
    );
    const killed = ended.signal === 'SIGKILL';
    const asked = ended.signal === disturbance.signal || ended.code === 130 || ended.code === 143;
    if (ended.code !== 0 && !killed && !asked) {
      throw new Error(
        `${stage} ${number} (${did.join(', ')}): expected the run to go on, received exit code ${ended.code}: ${ended.errors}`,
      );
    }
    if (ended.code === 0) break;
  }
  const [got, want] = [outcome(out), base.outcomes[stage]!];
  for (const [name, value] of Object.entries(want)) {
    if (got[name] !== value)
      throw new Error(`${stage} ${number} (${did.join(', ')}): '${name}' differs from the undisturbed run`);
  }
  return `${stage} ${number}: ${did.join(', ')}`;
}

function draw(draws: Draws, duration: number): Disturbance {
  if (draws.chance(0.5)) return { failpoint: FAILPOINTS[draws.below(FAILPOINTS.length)] };
  const signal = draws.chance(0.5) ? 'SIGKILL' : draws.chance(0.5) ? 'SIGTERM' : 'SIGINT';
  return { signal, afterMs: draws.between(0, duration) };
}
