// What determines the pictures of rae sample, as the flat record that a ledger compares: weights by their checksum, not by their path, so that
// a run that trained on in the meantime is noticed.

import { resolve } from 'node:path';
import { fingerprint } from '../inference/fingerprint.ts';
import type { SamplerChoice } from '../inference/generate.ts';
import type { GuidanceChoice } from '../inference/guidance-choice.ts';
import type { LabelChoice } from '../inference/labels.ts';
import type { SampleRequest } from '../inference/ledger.ts';
import type { LoadedGenerator } from '../inference/load-model.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { getThreads, type Tensor, versions } from '../tensor/index.ts';
import type { SampleOptions } from './sample-options.ts';

export interface Asked {
  sampler: SamplerChoice;
  guiding: GuidanceChoice;
  choice: LabelChoice;
  num: number;
  guide: Stage2Model | undefined;
  noise: Tensor | undefined;
}

/** `num` counts only where labels depend on it: a set may be made larger later. */
export function requestOf(
  options: SampleOptions,
  { config, rae, generator }: LoadedGenerator,
  { sampler, guiding, choice, num, guide, noise }: Asked,
): SampleRequest {
  const { seed, first, precision, out, rounding } = options;
  return {
    model: fingerprint([
      ...generator.stateDict(),
      ...rae.decoder.stateDict(),
      ['mean', rae.latentMean],
      ['std', rae.latentStd],
    ]),
    transport: JSON.stringify({ ...config.transport.params, ...config.misc }),
    sampler: JSON.stringify(sampler),
    guidance: JSON.stringify(guiding),
    guide: guide === undefined ? null : fingerprint(guide.stateDict()),
    noise: noise === undefined ? null : fingerprint([['noise', noise]]),
    labels: choice === 'equal' ? `equal among ${num}` : String(choice),
    seed,
    first,
    precision: precision ?? 'fp32',
    rounding: rounding ?? null,
    out: out === undefined ? null : resolve(out),
  };
}

/** What may change last bits. */
export function engineFacts(): SampleRequest {
  const { libtorch, cpuCapability } = versions();
  return { libtorch, 'instruction set': cpuCapability, 'number of threads': getThreads() };
}
