// Runs an evaluation that the options describe, and gives its result whole: the figures and all that it takes to get them again.

import { fileChecksum } from '../evaluation/checksum.ts';
import { type Evaluation, evaluate, type SetReport } from '../evaluation/evaluate.ts';
import type { ReferenceInfo } from '../evaluation/reference.ts';
import type { Score } from '../evaluation/scores.ts';
import { lpipsFiles } from '../inference/lpips-tensors.ts';
import { dispose, versions } from '../tensor/index.ts';
import { count, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { inputsOf, partialFolder } from './eval-inputs.ts';
import type { EvalOptions } from './eval-options.ts';
import { stopIfInterrupted } from './model-options.ts';
import { version } from './shared.ts';

export interface EvalResult {
  /** The command that gives it again. */
  command: string;
  scores: Score[];
  warnings: string[];
  extractor: { name: string; layer: string; file: string; checksum: string; resize: string; batch: number } | null;
  samples?: SetReport | undefined;
  pairs?: SetReport | undefined;
  reference?: ReferenceReport | undefined;
  train?: SetReport | undefined;
  lpips: { file: string; checksum: string } | null;
  precision: string;
  seconds: number;
  version: string;
  engine: { libtorch: string; cpuCapability: string };
}

/** A set of pictures, or a file of moments with what it says of itself, or both. */
export type ReferenceReport = Partial<SetReport> & { file?: string; checksum?: string; info?: ReferenceInfo | null };

/** Evaluates; progress goes to the log. InterruptedError when a signal arrives: what is done stays. */
export async function runEvaluation(options: EvalOptions, command: string): Promise<EvalResult> {
  const started = performance.now();
  const inputs = await inputsOf(options);
  const { extractor, moments } = inputs;
  const cache = await partialFolder(options);
  const { interval: method, resamples, layer, lpips, k, precision = 'fp32' } = options;
  let found: Evaluation;
  try {
    found = await evaluate({
      ...inputs,
      layer,
      lpips,
      k,
      half: options.halfDistances ?? false,
      infinity: options.fidInfinity ?? false,
      resampling: method && { method, resamples },
      force: options.force ?? false,
      cache,
      workers: options.workers,
      portion: Math.min(64, options.batch),
      onProgress: progress(cache),
    });
  } finally {
    extractor?.dispose();
    dispose([moments?.moments, moments?.spatial]);
  }
  log.done();
  for (const warning of found.warnings) log.warn(warning);
  const { libtorch, cpuCapability } = versions();
  return {
    command,
    scores: found.scores,
    warnings: found.warnings,
    extractor: extractor
      ? {
          name: extractor.name,
          layer: layer ?? extractor.pooled,
          file: extractor.file,
          checksum: extractor.checksum,
          resize: extractor.resize,
          batch: extractor.batch,
        }
      : null,
    samples: found.samples,
    pairs: found.pairs,
    reference: {
      ...found.reference,
      ...(moments && { file: moments.path, checksum: fileChecksum(moments.path), info: moments.info ?? null }),
    },
    train: found.train,
    lpips: lpips === undefined ? null : { file: lpips, checksum: lpipsFiles(lpips).map(fileChecksum).join(',') },
    precision,
    seconds: (performance.now() - started) / 1000,
    version: version(),
    engine: { libtorch, cpuCapability },
  };
}

/** A live line a pass, and the place where a signal is noticed. */
export function progress(cache: string): (what: string, done: number, of: number) => void {
  let current: { what: string; started: number; first: number } | undefined;
  return (what, done, of) => {
    stopIfInterrupted(() => `at ${done} of ${of} pictures (${what}); they stay in ${cache}, the same command goes on.`);
    if (current?.what !== what) current = { what, started: performance.now(), first: done };
    const speed = ((done - current.first) / (performance.now() - current.started)) * 1000;
    log.live(`${what}: ${count(done)}/${count(of)} pictures${speed > 0 ? `  ${figure(speed)} images/s` : ''}`);
  };
}
