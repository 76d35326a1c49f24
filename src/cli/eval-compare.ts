// rae eval compare A B: two results side by side, with what differs in how they were measured. Each is a file that rae eval wrote (--out,
// or --json), or a set of pictures or a run, which is evaluated with the options given.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';
import { count, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { commandLine, type EvalOptions, withEvalOptions } from './eval-options.ts';
import { value } from './eval-report.ts';
import { type EvalResult, runEvaluation } from './eval-run.ts';
import { beginVerb } from './model-options.ts';
import { printResult, verb } from './shared.ts';

interface Row {
  metric: string;
  name: string;
  a: number;
  b: number;
  difference: number;
  /** Whether the difference exceeds the intervals, where both have one. */
  apart?: boolean;
}

export function compareCommand(): Command {
  const example = [
    'rae eval compare before.json after.json',
    'rae eval compare samples-50 samples-250 --reference photos/test --extractor dinov2.safetensors',
  ].join('\n');
  const compare: Command = withEvalOptions(
    verb('compare', 'two results side by side', example)
      .argument('<A>', 'a result (JSON), or what --samples takes')
      .argument('<B>', 'what it is compared with'),
  ).action(run);
  return compare;

  async function run(first: string, second: string, options: EvalOptions): Promise<void> {
    beginVerb(options);
    const results: EvalResult[] = [];
    for (const path of [first, second]) {
      const again = commandLine(compare);
      results.push(
        path.endsWith('.json') ? readResult(path) : await runEvaluation({ ...options, samples: path }, again),
      );
    }
    const [a, b] = results as [EvalResult, EvalResult];
    const rows = sideBySide(a, b);
    if (rows.length === 0) throw new DataError(`${first}, ${second}: expected a metric that both have, received none.`);
    const differences = measuredDifferently(a, b);
    for (const difference of differences) log.warn(`measured differently: ${difference}`);
    printResult(options, { a, b, rows, differences }, asText(rows, [a, b], [first, second]));
  }
}

/** A result that rae eval wrote. DataError for anything else. */
export function readResult(path: string): EvalResult {
  let found: Partial<EvalResult>;
  try {
    found = JSON.parse(readFileSync(path, 'utf8')) as Partial<EvalResult>;
  } catch (cause) {
    throw new DataError(`${path}: expected a result of rae eval (JSON), received something else.`, { cause });
  }
  if (!Array.isArray(found?.scores))
    throw new DataError(expected(path, 'a result of rae eval', Object.keys(found ?? {})));
  return found as EvalResult;
}

/** Metrics that both have, under one name. */
export function sideBySide(a: EvalResult, b: EvalResult): Row[] {
  return a.scores.flatMap((score) => {
    const other = b.scores.find(({ metric, name }) => metric === score.metric && name === score.name);
    if (other === undefined) return [];
    const [x, y] = [score.interval, other.interval];
    const apart = x && y && (x.high < y.low || y.high < x.low);
    const { metric, name } = score;
    const difference = other.value - score.value;
    return [{ metric, name, a: score.value, b: other.value, difference, ...(apart !== undefined && { apart }) }];
  });
}

/** What makes two numbers hard to compare, a sentence each. */
export function measuredDifferently(a: EvalResult, b: EvalResult): string[] {
  const facts = (result: EvalResult): Record<string, unknown> => ({
    extractor: result.extractor?.checksum,
    layer: result.extractor?.layer,
    reference: result.reference?.checksum ?? result.reference?.digest,
    'number of samples': result.samples?.count ?? result.pairs?.count,
    'size of pictures': (result.samples ?? result.pairs)?.size?.join(' x '),
    lpips: result.lpips?.checksum,
  });
  const [x, y] = [facts(a), facts(b)];
  const show = (fact: unknown) =>
    typeof fact === 'string' && fact.length === 64 ? fact.slice(0, 12) : `${fact ?? 'none'}`;
  return Object.keys(x).flatMap((key) => (x[key] === y[key] ? [] : [`${key}: ${show(x[key])} and ${show(y[key])}`]));
}

function asText(rows: readonly Row[], results: readonly EvalResult[], names: readonly string[]): string {
  const signed = (x: number) => `${x > 0 ? '+' : ''}${value(x)}`;
  const line = ({ name, a, b, difference, apart }: Row) => [
    name,
    value(a),
    value(b),
    signed(difference),
    apart === undefined ? '' : apart ? 'intervals apart' : 'intervals overlap',
  ];
  const head = ['metric', ...names, 'difference', ''];
  const sizes = results.map(({ samples, pairs }) => count(samples?.count ?? pairs?.count ?? 0));
  return table([head, ['N', ...sizes], ...rows.map(line)]);
}
