// Worker processes of a pass. A worker is given the job and then one block after another; what it computes it leaves on disk, so that
// nothing else has to come back. It ends with its parent.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { RaeError } from '../util/errors.ts';
import type { Job } from './pass.ts';

/** From a worker: it has done a block, or it failed. */
export type Report = { done: true } | { failed: string; code: string };

/** To a worker: the job, then blocks; undefined when there are no more. */
export type Order = { job: Job; folder: string } | { block: number | undefined };

export interface WorkersOptions {
  folder: string;
  blocks: readonly number[];
  workers: number;
  onBlock: () => void;
  /** Called a few times a second; throw from it to stop. */
  onWait: () => void;
}

const WAIT_MS = 200;
/** Blocks a worker holds: one in work and one being read. */
const HELD = 2;

/** Computes blocks in child processes. A worker that fails ends the pass with its error. */
export async function computeInWorkers(job: Job, options: WorkersOptions): Promise<void> {
  const { folder, workers, onBlock, onWait } = options;
  const waiting = [...options.blocks];
  const children: ChildProcess[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      let open = waiting.length;
      const guarded = (fn: () => void) => {
        try {
          fn();
        } catch (error) {
          reject(error);
        }
      };
      timer = setInterval(() => guarded(onWait), WAIT_MS);
      for (let i = 0; i < workers; i++) {
        const child = start();
        children.push(child);
        const give = () => child.send({ block: waiting.shift() } satisfies Order);
        child.send({ job, folder } satisfies Order);
        for (let k = 0; k < HELD; k++) give();
        child.on('message', (report: Report) => {
          if ('failed' in report) return reject(new RaeError(report.code, report.failed));
          guarded(onBlock);
          give();
          if (--open === 0) resolve();
        });
        child.on('error', reject);
        child.on('exit', (code, signal) => {
          const how = signal ?? `exit code ${code}`;
          reject(new RaeError('ERR_WORKER', `a worker of the evaluation ended (${how}). Run it again to go on.`));
        });
      }
    });
  } finally {
    clearInterval(timer);
    for (const child of children) {
      child.removeAllListeners();
      child.on('error', () => {});
      child.kill('SIGKILL');
    }
  }
}

/** Compiled, a worker is JavaScript; from the sources it needs tsx. */
function start(): ChildProcess {
  const own = import.meta.url;
  const file = fileURLToPath(new URL(own.endsWith('.ts') ? './worker.ts' : './worker.js', own));
  const execArgv = own.endsWith('.ts') ? ['--import', 'tsx'] : [];
  return fork(file, {
    execArgv,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  });
}
