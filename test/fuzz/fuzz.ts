// One parser under thousands of inputs: each gives a value or an error of ours, within a second of computing and a bounded rise of memory.

import { statSync, writeFileSync } from 'node:fs';
import { cpuUsage, resourceUsage } from 'node:process';
import fc from 'fast-check';
import { RaeError } from '../../src/util/errors.ts';

export interface Parser {
  name: string;
  /** What is mutated. */
  inputs: fc.Arbitrary<Uint8Array>;
  /** Reads the file at `path` to the last tensor, pixel or value. */
  read(path: string): unknown;
}

export interface Figures {
  inputs: number;
  /** How many gave a value; the others gave errors of ours. */
  accepted: number;
  slowestMs: number;
  /** Largest rise of the process's peak memory by a single input, in bytes. */
  largestRise: number;
}

const LIMIT_MS = 1000;
const WARM = 200; // inputs until compilation and the collector's heap have settled
const FREE_RISE = 96 << 20; // the heap's growth, and what an archive may inflate to without being large (src/io/zip.ts)
const RISE_PER_BYTE = 16;

interface FuzzOptions {
  runs: number;
  seed: number;
  path: string;
  /** Inputs that this process has read before: memory is judged after the first ones alone. */
  before?: number;
}

/** Runs `runs` inputs of `seed` through a parser. Every input is written to `path` first: after a crash it lies there. */
export async function fuzz(parser: Parser, options: FuzzOptions): Promise<Figures> {
  const figures: Figures = { inputs: 0, accepted: 0, slowestMs: 0, largestRise: 0 };
  const property = fc.asyncProperty(parser.inputs, async (bytes) => {
    writeFileSync(options.path, bytes);
    const [before, clock] = [resourceUsage().maxRSS, cpuUsage()];
    try {
      await parser.read(options.path);
      figures.accepted++;
    } catch (error) {
      if (!(error instanceof RaeError)) throw error;
    }
    const { user, system } = cpuUsage(clock); // not the clock on the wall: the machine may be busy with something else
    const ms = (user + system) / 1000;
    figures.slowestMs = Math.max(figures.slowestMs, ms);
    if (ms > LIMIT_MS) throw new Error(`took ${Math.round(ms)} ms of computing for ${bytes.length} bytes`);
    if ((options.before ?? 0) + figures.inputs++ < WARM) return;
    const rise = 1024 * (resourceUsage().maxRSS - before);
    figures.largestRise = Math.max(figures.largestRise, rise);
    if (rise > FREE_RISE + RISE_PER_BYTE * statSync(options.path).size)
      throw new Error(`took ${Math.round(rise / 2 ** 20)} MiB of memory for ${bytes.length} bytes`);
  });
  const result = await fc.check(property, { numRuns: options.runs, seed: options.seed });
  if (!result.failed) return figures;
  writeFileSync(options.path, result.counterexample![0]);
  const cause = result.errorInstance instanceof Error ? result.errorInstance : new Error(String(result.errorInstance));
  throw new Error(`${parser.name}, seed ${options.seed}: ${cause.message}`, { cause });
}
