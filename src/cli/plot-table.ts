// rae plot table: a column of a table of results over another, a line for each value of a third: FID over steps, precision over recall.
// A table is a file of JSON lines, one JSON list, or results of rae eval, one a file, whose columns are the metrics, `steps` and `guidance`
// too; `a.b` reaches into nested values.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { SampledSpec } from '../evaluation/picture-set.ts';
import { unreadable } from '../io/file-reader.ts';
import { chart, type Series } from '../plot/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { checkChartEnding, saveChart } from './plot-output.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

interface TableOptions extends VerbOptions {
  out: string;
  x: string;
  y: string;
  by?: string;
  title?: string;
  points?: boolean;
  logX?: boolean;
  logY?: boolean;
}

type Row = Record<string, unknown>;

export function tableCommand(): Command {
  const example =
    'rae plot table results.jsonl --x steps --y fd --by sampler --out sweep.svg\nrae plot table a.json b.json --x guidance --y fid --by samples.model --out guidance.svg';
  return verb('table', 'one column of a table of results over another', example)
    .argument('<files...>', 'JSON lines, a JSON list, or results of rae eval, one a file')
    .requiredOption('--x <key>', 'the column across')
    .requiredOption('--y <key>', 'the column upward')
    .requiredOption('--out <file>', 'the chart: .svg or .png')
    .option('--by <key>', 'a line for each value of this column')
    .option('--title <text>', 'above the chart (default: y over x)')
    .option('--points', 'points without lines')
    .option('--log-x', 'logarithmic x')
    .option('--log-y', 'logarithmic y')
    .action(run);
}

async function run(files: string[], options: TableOptions): Promise<void> {
  const { out, x, y, by, title = `${y} over ${x}`, points, logX, logY } = options;
  checkChartEnding(out);
  const rows = files.flatMap(readTable);
  const lines = new Map<string, [number, number][]>();
  for (const row of rows) {
    const [a, b] = [numberAt(row, x), numberAt(row, y)];
    if (a === undefined || b === undefined) continue;
    const name = by === undefined ? y : String(valueAt(row, by) ?? 'none');
    lines.set(name, [...(lines.get(name) ?? []), [a, b]]);
  }
  if (lines.size === 0) {
    throw new ConfigError(
      expected('rae plot table', `rows with numbers '${x}' and '${y}'`, `${rows.length} rows with ${keysOf(rows[0])}`),
    );
  }
  const series = [...lines].map(
    ([name, line]): Series => ({
      name,
      points: points ? line : line.sort(([a], [b]) => a - b),
      draw: points ? 'points' : 'both',
    }),
  );
  await saveChart(out, chart({ title, x: { label: x, log: logX }, y: { label: y, log: logY }, series }));
  printResult(
    options,
    { out, rows: rows.length, series: [...lines.keys()] },
    `${out}: ${rows.length} rows, ${lines.size === 1 ? 'one line' : `${lines.size} lines`}`,
  );
}

function readTable(path: string): Row[] {
  const text = read(path).trim();
  try {
    const whole: unknown =
      text.startsWith('[') || !/\}\s*\n\s*\{/.test(text)
        ? JSON.parse(text)
        : text.split('\n').map((line) => JSON.parse(line) as unknown);
    const rows = Array.isArray(whole) ? whole : [whole];
    return rows.map((row) => ({ file: basename(path), ...(row as Row), ...columnsOf(row as Row) }));
  } catch (cause) {
    throw new DataError(`${path}: expected JSON lines or a JSON list of results.`, { cause });
  }
}

/**
 * Further columns of a result of rae eval: its figures by their metrics, the steps, and the scale of classifier-free guidance (1 without).
 * `precision` is the metric here, where it was measured, not that of the arithmetic.
 */
function columnsOf({ scores, samples }: Row): Row {
  if (!Array.isArray(scores)) return {};
  const figures = (scores as { metric: string; value: number }[]).toReversed(); // the first of a metric counts
  const made = samples as Partial<SampledSpec> | undefined;
  return {
    ...Object.fromEntries(figures.map(({ metric, value }) => [metric, value])),
    ...(made?.sampler && { steps: made.sampler.steps }),
    ...(made?.guidance && { guidance: made.guidance.cfg?.scale ?? 1 }),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** The value under `key`, or under its parts between dots. */
function valueAt(row: Row, key: string): unknown {
  if (key in row) return row[key];
  return key.split('.').reduce<unknown>((value, part) => (value as Row | undefined)?.[part], row);
}

function numberAt(row: Row, key: string): number | undefined {
  const value = valueAt(row, key);
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function keysOf(row: Row | undefined): string {
  return row === undefined ? 'nothing' : Object.keys(row).join(', ');
}
