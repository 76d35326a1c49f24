// What can be known of a run before anything is loaded: that a batch is not more than the pictures, that nothing begins after the run's end,
// that pictures can be read. What is merely unusual is returned, to be said.

import type { RunConfig } from '../config/index.ts';
import { BatchReader, type PictureSource } from '../data/index.ts';
import { startsOf } from './adversary.ts';
import { scheduleOf, unfinishedDecay } from './schedule.ts';

/** Sentences about the run over a set of `size` pictures. ConfigError for lengths and starts that cannot be meant. */
export function checkLengths(config: RunConfig, size: number): string[] {
  const { stepsPerEpoch, end } = scheduleOf(config, size);
  startsOf(config, { stepsPerEpoch, end });
  const { gan, training } = config;
  const sentences = [
    unfinishedDecay('training.scheduler', training.scheduler, { stepsPerEpoch, steps: end }),
    // Its updates begin late, so that the paper's own never finishes: only what ends after the run itself is a mistake.
    gan &&
      unfinishedDecay('gan.disc.scheduler', gan.disc.scheduler, { stepsPerEpoch, steps: end * gan.loss.disc_updates }),
  ];
  return sentences.filter((sentence) => sentence !== undefined);
}

/** Reads one picture of each source, or more until one can be read. DataError where none can. */
export async function checkReadable(...sources: readonly PictureSource[]): Promise<void> {
  for (const source of sources) await new BatchReader(source).readFull([0], 0);
}
