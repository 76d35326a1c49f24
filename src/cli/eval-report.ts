// The result of an evaluation as a person reads it: a table of figures, then what they were computed from.

import type { SetReport } from '../evaluation/evaluate.ts';
import type { FilesSpec, SampledSpec } from '../evaluation/picture-set.ts';
import type { Score } from '../evaluation/scores.ts';
import { describeGuidance } from '../inference/guidance-choice.ts';
import { count, duration, figure, table } from '../util/format.ts';
import type { EvalResult } from './eval-run.ts';
import { describeSampler } from './sampling-options.ts';

/** The table and the lines below it. */
export function asText(result: EvalResult): string {
  const { scores, extractor, samples, pairs, reference, train, lpips } = result;
  const row = (score: Score) => [
    score.name,
    value(score.value),
    score.interval
      ? `${value(score.interval.low)} to ${value(score.interval.high)}`
      : score.std === undefined
        ? ''
        : `± ${value(score.std)}`,
    count(score.n),
    score.reference === undefined ? '' : count(score.reference),
    score.note ?? '',
  ];
  const intervals = scores.find((score) => score.interval)?.interval;
  const spread = intervals ? `95 % by ${intervals.method}` : 'spread';
  const lines = [
    table([['metric', 'value', spread, 'N', 'reference N', ''], ...scores.map(row)]),
    '',
    samples && `samples    ${describeSet(samples)}`,
    pairs && `pictures   ${describeSet(pairs)}`,
    describeReference(reference),
    train && `train      ${describeSet(train)}`,
    extractor &&
      `extractor  ${extractor.name}, layer ${extractor.layer}, ${short(extractor.checksum)}; ${extractor.resize}`,
    lpips && `lpips      ${lpips.file}, ${short(lpips.checksum)}`,
    `again      ${result.command}  (${duration(result.seconds)})`,
  ];
  return lines.filter((line) => line !== undefined && line !== null).join('\n');
}

export function value(x: number): string {
  return Math.abs(x) >= 1000 ? figure(x, 6) : figure(x, 4);
}

function describeReference(reference: EvalResult['reference']): string | undefined {
  if (reference === undefined) return undefined;
  const { file, checksum, info, count: pictures } = reference;
  const from = info ? `${count(info.count)} pictures, ${info.extractor.name}` : 'says nothing of itself';
  const parts = [
    file && `${file}, ${short(checksum!)} (${from})`,
    pictures !== undefined && describeSet(reference as SetReport),
  ].filter(Boolean);
  return parts.length > 0 ? `reference  ${parts.join('; ')}` : undefined;
}

/** What sets say of themselves (`details`), each kind some of it. */
type Details = Partial<SampledSpec & FilesSpec & { crop: string; checkpoint: number }> & { kind?: string };

function describeSet(set: SetReport): string {
  const { kind, path, model, checkpoint, sampler, guidance, seed, labels, precision, crop } = set as Details;
  const words = [
    kind === 'files' ? undefined : kind,
    checkpoint === undefined ? undefined : `step ${count(checkpoint)}`,
    sampler && describeSampler(sampler),
    guidance && describeGuidance(guidance),
    seed === undefined ? undefined : `seed ${seed}`,
    labels === undefined ? undefined : `labels ${labels}`,
    precision,
  ].filter((word) => word !== undefined);
  const about = words.length > 0 ? ` (${words.join(', ')})` : '';
  const pixels = `${count(set.count)} of ${set.size[1]} x ${set.size[0]}, ${short(set.digest)}`;
  return `${path ?? model}${about}: ${pixels}${crop ? `; ${crop}` : ''}`;
}

/** The beginning of a checksum. */
export function short(checksum: string): string {
  return `sha256 ${checksum.slice(0, 12)}`;
}
