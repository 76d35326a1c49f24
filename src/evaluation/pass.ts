// One pass over a set: every block computed once, here or by worker processes, and kept on disk until the result stands. A pass that was
// interrupted or killed goes on where it stopped; its outcome is the same to the bit however it was cut up. Every process computes with one
// thread: convolutions round differently for other numbers of threads, and blocks are independent, so that processes use the cores better.

import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { getThreads, setThreads, versions } from '../tensor/index.ts';
import { removeTemporaries } from '../util/atomic-write.ts';
import { sha256 } from '../util/digest.ts';
import { takeLock } from '../util/lock.ts';
import { makeFolder } from '../util/storage.ts';
import { BLOCK, type BlockWork, blockCount, blockInfo, readBlock, writeBlock } from './block.ts';
import { fileChecksum } from './checksum.ts';
import type { Extractor } from './extractor.ts';
import { type ExtractorFile, loadExtractor } from './load-extractor.ts';
import { openSet } from './open-set.ts';
import { type PairName, pairFigures } from './pair-figures.ts';
import { PassResult } from './pass-result.ts';
import type { PictureSet, SetSpec } from './picture-set.ts';
import { removeForgotten } from './unfinished.ts';
import { computeInWorkers } from './workers.ts';

/** What to compute, as plain data: a worker process is given the same. */
export interface Job {
  set: SetSpec;
  /** What loadExtractor takes, and the layers wanted. */
  extractor?: string | undefined;
  layers: readonly string[];
  pairs?: readonly PairName[] | undefined;
  /** Weights of LPIPS. */
  lpips?: string | undefined;
  /** Pictures read or made at once; a block at most. */
  portion?: number | undefined;
}

export interface PassOptions {
  /** Folder below which partial results are kept. */
  cache: string;
  /** The job's set, open. */
  set: PictureSet;
  /** The job's extractor, loaded. */
  extractor?: (Extractor & ExtractorFile) | undefined;
  /** Processes; 1 computes here. */
  workers?: number | undefined;
  /** Before each block; throw from it to stop. */
  onProgress?: ((done: number, of: number) => void) | undefined;
}

/** Computes what is missing of a job. The caller disposes the result, which removes what was kept. */
export async function runPass(job: Job, options: PassOptions): Promise<PassResult> {
  const { set, extractor, workers = 1, onProgress } = options;
  const folder = join(options.cache, keyOf(job, options));
  removeForgotten(options.cache);
  const release = takeLock(`${folder}.lock`, {
    what: 'this evaluation',
    next: 'keep its unfinished work apart by --partial',
  });
  try {
    makeFolder(folder);
    removeTemporaries(folder);
    const all = Array.from({ length: blockCount(set) }, (_, block) => block);
    const missing = all.filter((block) => blockInfo(folder, block) === undefined);
    let done = all.length - missing.length;
    const report = () => onProgress?.(Math.min(set.size, done * BLOCK), set.size);
    const onBlock = () => {
      done++;
      report();
    };
    report();
    const processes = Math.min(workers, missing.length);
    if (processes > 1) {
      await computeInWorkers(job, { folder, blocks: missing, workers: processes, onBlock, onWait: report });
    } else {
      await computeBlocks({ folder, blocks: missing, job, set, extractor, onBlock });
    }
    return new PassResult(folder, set, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** The same for a worker process, which opens what the job names. */
export async function workOn(job: Job, folder: string, blocks: AsyncIterable<number>, onBlock: () => void) {
  const set = await openSet(job.set, job);
  const extractor = job.extractor === undefined ? undefined : loadExtractor(job.extractor);
  await computeBlocks({ folder, blocks, job, set, extractor, onBlock });
}

interface Computing {
  folder: string;
  blocks: Iterable<number> | AsyncIterable<number>;
  job: Job;
  set: PictureSet;
  extractor: Extractor | undefined;
  onBlock: () => void;
}

/** Computes blocks in this process; the next one is read meanwhile. */
async function computeBlocks({ folder, blocks, job, set, extractor, onBlock }: Computing): Promise<void> {
  const threads = getThreads();
  setThreads(1);
  const pairs = job.pairs?.length ? pairFigures(job.pairs, job) : undefined;
  const work: BlockWork = { set, extractor, layers: job.layers, pairs };
  async function* reading() {
    for await (const block of blocks) yield { block, range: readBlock(set, block, job.portion) };
  }
  try {
    const ahead = reading();
    let next = ahead.next();
    for (let current = await next; !current.done; current = await next) {
      const { block, range } = current.value;
      next = ahead.next();
      next.then(({ value }) => value?.range).catch(() => {}); // reported when its turn comes
      writeBlock(folder, block, await range, work);
      onBlock();
      await setImmediate();
    }
  } finally {
    pairs?.dispose();
    setThreads(threads);
  }
}

/** Names everything that the bits of a block depend on. */
function keyOf({ layers, pairs, lpips }: Job, { set, extractor }: PassOptions): string {
  const { libtorch, cpuCapability } = versions();
  const weights = [extractor?.checksum, extractor?.resize, lpips === undefined ? undefined : fileChecksum(lpips)];
  const key = JSON.stringify([set.identity, layers, pairs, weights, libtorch, cpuCapability]);
  return sha256([key]).slice(0, 24);
}
