// The frame around a training loop: opens or resumes a run directory, and after every step does what is due — a log line, a grid of
// samples, an evaluation, a checkpoint — and stops where it must. The loops themselves (encoder.ts, rae.ts, dit.ts) stay straight.

import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { formatConfig, type RunConfig } from '../config/index.ts';
import {
  appendMetrics,
  commitBest,
  commitCheckpoint,
  cutMetrics,
  latestCheckpoint,
  listCheckpoints,
  type MetricsRecord,
  openEvents,
  prepareRun,
  readMetrics,
  runPaths,
} from '../runs/index.ts';
import { clearInterrupted, installSignalHandlers, interrupted } from '../tensor/index.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError, InterruptedError, StorageError } from '../util/errors.ts';
import { failpoint } from '../util/failpoint.ts';
import { duration, figure } from '../util/format.ts';
import { takeLock } from '../util/lock.ts';
import type { Log } from '../util/log.ts';
import { type CheckpointParts, type Due, readCheckpoint, type TrainState, writeCheckpoint } from './checkpoint.ts';
import { newPace, type Pace } from './pace.ts';
import type { Schedule } from './schedule.ts';

/** Of the evaluated figures; of all others (lpips, loss, distances) the lowest is the best. */
const HIGHER_IS_BETTER = /psnr|ssim|accuracy/;

/** What the session asks of the data: where it stands, as plain JSON. */
export interface Resumable {
  state(): unknown;
  restore(state: unknown): void;
}

/** What a stage is asked to do, whatever it trains. */
export interface RunOptions {
  config: RunConfig;
  /** Run directory. */
  out: string;
  /** Go on from the newest checkpoint of `out`. */
  resume: boolean;
  /** The caller holds the run (claimRun) and gives it back. */
  claimed?: boolean | undefined;
  /** Stop when the global step reaches this; the schedule's length is the configuration's alone. */
  stopAt?: number | undefined;
  /** Stop after so many seconds of training, whatever the step. */
  maxSeconds?: number | undefined;
  log: Log;
}

export interface SessionOptions extends RunOptions {
  schedule: Schedule;
  parts: CheckpointParts;
  loader: Resumable;
  /** Pictures of one step. */
  batch: number;
  /** The metric shown in the live line. */
  headline: string;
  /** PNG bytes of the sample grid. */
  preview?: (() => Promise<Uint8Array>) | undefined;
  /** Figures on held-out pictures. */
  evaluate?: (() => Promise<Record<string, number>>) | undefined;
  /** Their names, of which training.keep_best may be one. */
  evaluates?: readonly string[] | undefined;
}

/** What a step is logged by: `now` as it is, `mean` as the mean since the last line. */
export interface StepFigures {
  /** A number, or the sum and the count of several. */
  mean: Readonly<Record<string, number | readonly [sum: number, count: number]>>;
  now: Readonly<Record<string, number>>;
}

export interface Session {
  readonly state: TrainState;
  /** The loop runs while this is true. */
  goesOn(): boolean;
  /** Call once after every optimiser step. */
  afterStep(figures: StepFigures): Promise<void>;
  /**
   * Instead of afterStep: goes back to the newest checkpoint, but on with the batches and random numbers of now. Returns its step, or
   * undefined where there is none.
   */
  rollBack(): number | undefined;
  /** Saves what is not saved, unless a step was left halfway (by an error), and gives the lock back. */
  close(): Promise<void>;
}

/**
 * Takes the run for this process, before anything is written into its folder; returns what gives it back. ConfigError when `out` holds a
 * run that `resume` does not ask for, or when a process trains there.
 */
export function claimRun(out: string, { resume }: { resume: boolean }): () => void {
  if (!resume && listCheckpoints(out).length > 0) {
    throw new ConfigError(
      `--out: expected a folder without a run, received '${out}'. Add --resume to go on, or name another folder.`,
    );
  }
  return takeLock(runPaths(out).lock);
}

/** Opens the run, and does first what was due when it was stopped. ConfigError as claimRun. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { out, config, schedule, parts, loader, log, maxSeconds = Number.POSITIVE_INFINITY } = options;
  checkKeepBest(config, options.evaluates ?? []);
  const release = options.claimed ? () => {} : claimRun(out, options);
  const paths = prepareRun(out);
  const state: TrainState = { step: 0, samples: 0, loader: loader.state(), window: {}, due: [] };
  const last = options.resume ? latestCheckpoint(out) : undefined;
  if (last) {
    const { state: saved, warning } = readCheckpoint(last.path, parts);
    Object.assign(state, saved);
    loader.restore(saved.loader);
    if (warning) log.warn(warning);
    log.info(`resumed at step ${state.step} of ${schedule.end}`);
  } else {
    writeFileAtomic(paths.config, formatConfig(config));
  }
  cutMetrics(paths.metrics, state.step);
  const events = openEvents(paths.events, { step: state.step });
  installSignalHandlers();

  let midStep = false;
  let lost = false; // the disk refused: nothing more is written
  let savedAt = last ? state.step : -1;
  const started = performance.now();
  const startedAt = state.step;
  const stopAt = Math.min(options.stopAt ?? Number.POSITIVE_INFINITY, schedule.end);

  if (state.due.length > 0) {
    try {
      await writingRun(finishDue);
      savedAt = -1; // the checkpoint still says that it is due
      await writingRun(save);
    } catch (error) {
      release();
      throw error;
    }
  }

  async function save(): Promise<void> {
    if (savedAt === state.step) return;
    state.loader = loader.state();
    await commitCheckpoint(out, {
      step: state.step,
      keep: config.training.keep_checkpoints,
      write: (folder) => writeCheckpoint(folder, state, parts),
    });
    savedAt = state.step;
  }

  /** Runs what writes into the run's folder; where the disk refuses, the error says what is left to go on from. */
  async function writingRun<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      lost = true;
      const kept = latestCheckpoint(out);
      const left =
        kept === undefined
          ? 'No checkpoint is there yet: begin again when that is mended.'
          : `The checkpoint of step ${kept.step} is whole: go on with --resume when that is mended.`;
      const { reason } = error;
      throw new StorageError(`${out}: cannot be written after step ${state.step} (${reason}). ${left}`, {
        reason,
        cause: error,
      });
    }
  }

  function record(figures: Readonly<Record<string, number>>): void {
    const line: MetricsRecord = {
      step: state.step,
      epoch: round(state.step / schedule.stepsPerEpoch),
      samples: state.samples,
    };
    for (const [name, value] of Object.entries(figures)) {
      line[name] = Number.isFinite(value) ? value : null;
      events.scalar(name, value, state.step);
    }
    appendMetrics(paths.metrics, line);
  }

  function keepBest(figures: Readonly<Record<string, number>>): void {
    const value = figures[config.training.keep_best ?? ''];
    if (value === undefined || !Number.isFinite(value)) return;
    const sign = HIGHER_IS_BETTER.test(config.training.keep_best!) ? 1 : -1;
    if (state.best !== undefined && sign * value <= sign * state.best.value) return;
    state.best = { step: state.step, value };
    state.loader = loader.state();
    commitBest(out, (folder) => writeCheckpoint(folder, state, parts));
  }

  /** A process that was killed after its evaluation and before its checkpoint has left the line already. */
  function isRecorded(found: Readonly<Record<string, number>>): boolean {
    if (state.step !== startedAt) return false;
    return readMetrics(paths.metrics).some(
      (line) => line.step === state.step && Object.keys(found).every((key) => key in line),
    );
  }

  async function grid(): Promise<void> {
    const png = await options.preview?.();
    if (png === undefined) return;
    writeFileAtomic(join(paths.samples, `step-${String(state.step).padStart(7, '0')}.png`), png);
    events.image('samples', png, state.step);
  }

  async function figures(): Promise<void> {
    const found = await options.evaluate?.();
    if (found === undefined) return;
    if (!isRecorded(found)) record(found);
    keepBest(found);
    const shown = Object.entries(found).map(([name, value]) => `${name} ${figure(value)}`);
    log.info(`step ${state.step}: ${shown.join(', ')}`);
  }

  /** Does what is due. A signal leaves the rest to the resumed run. */
  async function finishDue(): Promise<void> {
    while (state.due.length > 0) {
      if (interrupted() !== 0) await stop();
      const [next, ...rest] = state.due as [Due, ...Due[]];
      state.due = rest;
      try {
        await { grid, figures }[next]();
      } catch (error) {
        state.due = [next, ...rest];
        if (error instanceof InterruptedError) await stop();
        throw error;
      }
    }
  }

  async function stop(): Promise<never> {
    const signal = interrupted();
    await save();
    clearInterrupted();
    throw new InterruptedError(`stopped at step ${state.step}, saved in ${out}. Go on with --resume.`, 128 + signal);
  }

  const pace = newPace(options.batch);

  return {
    state,
    goesOn() {
      midStep = state.step < stopAt && performance.now() - started < maxSeconds * 1000;
      if (midStep) failpoint('step');
      return midStep;
    },
    async afterStep({ mean, now }) {
      midStep = false;
      state.step++;
      state.samples += options.batch;
      pace.stepped();
      for (const [name, value] of Object.entries(mean)) {
        const [sum, count] = state.window[name] ?? [0, 0];
        const [more, of] = typeof value === 'number' ? [value, 1] : value;
        state.window[name] = [sum + more, count + of];
      }
      const means = Object.fromEntries(Object.entries(state.window).map(([name, [sum, count]]) => [name, sum / count]));
      log.live(progress(state.step, schedule.end, { ...means, ...now }, options.headline, pace));
      if (state.step % schedule.logEvery === 0) {
        await writingRun(() => record({ ...means, ...now, images_per_second: round(pace.speed()) }));
        state.window = {};
        pace.newLine();
      }
      const atEnd = state.step === schedule.end;
      if (options.preview && (state.step % schedule.sampleEvery === 0 || atEnd)) state.due.push('grid');
      if (options.evaluate && schedule.evalEvery && (state.step % schedule.evalEvery === 0 || atEnd)) {
        state.due.push('figures');
      }
      await writingRun(finishDue);
      if (state.step % schedule.checkpointEvery === 0) await writingRun(save);
      await setImmediate(); // decoding callbacks and signals are served
      if (interrupted() !== 0) await writingRun(stop);
      pace.resume();
    },
    rollBack() {
      const saved = latestCheckpoint(out);
      if (saved === undefined) return undefined;
      const loaderNow = loader.state();
      Object.assign(state, readCheckpoint(saved.path, { tensors: parts.tensors, generators: {} }).state);
      state.loader = loaderNow;
      cutMetrics(paths.metrics, state.step);
      savedAt = state.step;
      return state.step;
    },
    async close() {
      try {
        if (state.step > startedAt && !midStep && !lost) await writingRun(save);
      } finally {
        log.done(`step ${state.step} of ${schedule.end} in ${duration((performance.now() - started) / 1000)}: ${out}`);
        release();
      }
    },
  };
}

function checkKeepBest({ training: { keep_best } }: RunConfig, names: readonly string[]): void {
  if (keep_best === undefined || names.includes(keep_best)) return;
  throw new ConfigError(
    expected('training.keep_best', `one of what is evaluated: ${names.join(', ') || 'nothing here'}`, keep_best),
  );
}

function progress(
  step: number,
  end: number,
  figures: Readonly<Record<string, number>>,
  headline: string,
  pace: Pace,
): string {
  const shown = ['lr', 'grad_norm'].flatMap((name) => {
    const found = Object.entries(figures).find(([key]) => key.split('/')[0] === name || key.endsWith(`/${name}`));
    return found ? [`${name} ${figure(found[1])}`] : [];
  });
  const loss = figures[headline];
  return [
    `step ${step}/${end}`,
    `loss ${loss === undefined ? '?' : figure(loss, 4)}`,
    ...shown,
    `${figure(pace.speed())} images/s`,
    `${duration(pace.left(end - step))} left`,
  ].join('  ');
}

function round(value: number): number {
  return Number(value.toPrecision(6));
}
