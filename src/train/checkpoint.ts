// What a run saves and how it comes back: tensors by part (model, ema, optimizer) in safetensors files, the rest in state.json.
// Resume equals the uninterrupted run bit for bit on the same CPU type, threads and libtorch; state.json records them, and a
// difference is said. Parameters are copied into fresh storage, never mapped: a checkpoint may be deleted while its run goes on.

import { join } from 'node:path';
import { loadSafetensors, saveSafetensors } from '../io/safetensors.ts';
import type { StateDict } from '../nn/index.ts';
import { dispose, type Generator, getThreads, versions } from '../tensor/index.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';
import { readJsonObject } from '../util/json.ts';

/** Something with a state dict: a module, an optimiser, an average. */
export interface Stateful {
  stateDict(): StateDict;
  loadStateDict(state: StateDict): unknown;
}

/** The numbers of a run that are not tensors: exactly what state.json holds, beside the generators and the machine. */
export interface TrainState {
  /** Optimiser steps made. */
  step: number;
  /** Pictures consumed. */
  samples: number;
  /** Where the data stands. */
  loader: unknown;
  /** Sums and counts of the metrics since the last log line. */
  window: Record<string, [sum: number, count: number]>;
  /** The best evaluation so far by training.keep_best. */
  best?: { step: number; value: number } | undefined;
  /** Work of this step that a signal put off: the resumed run does it first. */
  due: Due[];
}

/** What falls due beside steps: the grid of samples, the figures on held-out pictures. */
export type Due = 'grid' | 'figures';

export interface CheckpointParts {
  /** File stem -> what it saves: `model`, `ema`, `optimizer`. */
  tensors: Readonly<Record<string, Stateful>>;
  generators: Readonly<Record<string, Generator>>;
}

/** Writes every part into `folder`. The caller makes the folder appear atomically. */
export function writeCheckpoint(folder: string, state: TrainState, { tensors, generators }: CheckpointParts): void {
  for (const [stem, part] of Object.entries(tensors)) {
    saveSafetensors(join(folder, `${stem}.safetensors`), part.stateDict(), { step: String(state.step) });
  }
  const saved = {
    ...state,
    generators: Object.fromEntries(
      Object.entries(generators).map(([name, g]) => [name, Buffer.from(g.getState()).toString('base64')]),
    ),
    machine: machine(),
  };
  writeFileAtomic(join(folder, 'state.json'), `${JSON.stringify(saved, null, 1)}\n`);
}

/** Restores every part from `folder`; returns the state and, where the machine differs, a sentence that says how. */
export function readCheckpoint(
  folder: string,
  { tensors, generators }: CheckpointParts,
): { state: TrainState; warning: string | undefined } {
  const path = join(folder, 'state.json');
  const saved = readJsonObject(path) as unknown as TrainState & {
    generators: Record<string, string>;
    machine: Record<string, unknown>;
  };
  for (const [stem, part] of Object.entries(tensors)) {
    const state = loadSafetensors(join(folder, `${stem}.safetensors`));
    try {
      part.loadStateDict(state);
    } finally {
      dispose(state);
    }
  }
  for (const [name, generator] of Object.entries(generators)) {
    const bytes = saved.generators[name];
    if (bytes === undefined) {
      throw new DataError(expected(path, `the state of the generator '${name}'`, Object.keys(saved.generators)));
    }
    generator.setState(new Uint8Array(Buffer.from(bytes, 'base64')));
  }
  const { step, samples, loader, window, best, due = [] } = saved;
  return { state: { step, samples, loader, window, best, due }, warning: machineDifference(saved.machine) };
}

function machine(): Record<string, string | number> {
  const { libtorch, cpuCapability } = versions();
  return { libtorch, cpuCapability, threads: getThreads() };
}

function machineDifference(then: Readonly<Record<string, unknown>>): string | undefined {
  const differences = Object.entries(machine()).flatMap(([key, now]) =>
    then[key] === now ? [] : [`${key} ${String(then[key])} then, ${now} now`],
  );
  if (differences.length === 0) return undefined;
  return `resuming on another machine (${differences.join('; ')}): the run goes on, but not bit for bit.`;
}
