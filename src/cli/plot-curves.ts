// rae plot curves: what metrics.jsonl holds, one chart a figure and one line a run; an average and its raw twin share a chart.

import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { type ChartOptions, charts, type Series, smooth } from '../plot/index.ts';
import { type MetricsRecord, readMetrics, runPaths } from '../runs/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { checkChartEnding, saveChart } from './plot-output.ts';
import { numberOption, printResult, type VerbOptions, verb } from './shared.ts';

interface CurvesOptions extends VerbOptions {
  out: string;
  metrics?: string;
  x: 'step' | 'epoch' | 'samples';
  smooth: number;
  logY?: boolean;
}

/** Shown when --metrics is not given: what says whether a run learns. */
const USUAL = /^(loss\/|eval|grad_norm$|grad_norm\/)/;

export function curvesCommand(): Command {
  const example =
    'rae plot curves runs/rae --out curves.svg\nrae plot curves runs/a runs/b --metrics loss,eval_ema/psnr --out compare.png';
  return verb('curves', 'learning curves of one run or several', example)
    .argument('<runs...>', 'run directories')
    .requiredOption('--out <file>', 'the chart: .svg or .png')
    .option(
      '--metrics <names>',
      'figures of metrics.jsonl, separated by commas (default: losses, evaluations, gradient norm)',
    )
    .option('--x <axis>', 'step, epoch or samples', 'step')
    .addOption(
      numberOption('--smooth <w>', 'weight of the past in a moving average of what is logged at every line', {
        min: 0,
        max: 0.999,
        default: 0.6,
      }),
    )
    .option('--log-y', 'logarithmic y')
    .action(run);
}

async function run(runs: string[], options: CurvesOptions): Promise<void> {
  checkChartEnding(options.out);
  if (!['step', 'epoch', 'samples'].includes(options.x))
    throw new ConfigError(expected('--x', 'step, epoch or samples', options.x));
  const read = runs.map((path) => ({ name: basename(resolve(path)), records: recordsOf(path) }));
  const panels = panelsOf(
    wanted(
      read.flatMap(({ records }) => records),
      options.metrics,
    ),
  );
  const drawn = [...panels].map(
    ([title, names]): ChartOptions => ({
      title,
      x: { label: options.x },
      y: { label: '', log: options.logY },
      series: read.flatMap(({ name, records }, color) =>
        names.map((metric, i) => {
          const series = curve(records, metric, options);
          return {
            ...series,
            name: label(name, metric, { runs: read.length, metrics: names.length }),
            color: read.length > 1 ? color : i,
            dashed: read.length > 1 && i > 0,
          };
        }),
      ),
    }),
  );
  await saveChart(options.out, charts(drawn, { columns: 2 }));
  printResult(
    options,
    { out: options.out, metrics: [...panels.values()].flat() },
    `${options.out}: ${[...panels.keys()].join(', ')}`,
  );
}

function recordsOf(path: string): MetricsRecord[] {
  const { metrics } = runPaths(path);
  if (!existsSync(metrics))
    throw new ConfigError(expected('rae plot curves', 'a run directory with metrics.jsonl', path));
  const records = readMetrics(metrics);
  if (records.length === 0)
    throw new DataError(`${metrics}: expected lines, found none. The run has logged nothing yet.`);
  return records;
}

function wanted(records: readonly MetricsRecord[], asked: string | undefined): string[] {
  const known = [...new Set(records.flatMap((record) => Object.keys(record)))].filter((name) =>
    records.some((record) => typeof record[name] === 'number'),
  );
  if (asked === undefined) return known.filter((name) => USUAL.test(name) || name === 'loss');
  return asked.split(',').map((name) => {
    if (known.includes(name)) return name;
    throw new ConfigError(expected('--metrics', `some of ${known.join(', ')}`, name));
  });
}

/** `eval_ema/psnr` and `eval/psnr` go into one chart, named psnr; `loss/recon` has its own. */
function panelsOf(names: readonly string[]): Map<string, string[]> {
  const panels = new Map<string, string[]>();
  for (const name of names) {
    const [group = '', ...rest] = name.split('/');
    const title = group.startsWith('eval') && rest.length > 0 ? rest.join('/') : name;
    panels.set(title, [...(panels.get(title) ?? []), name]);
  }
  return panels;
}

function curve(
  records: readonly MetricsRecord[],
  metric: string,
  { x, smooth: weight }: CurvesOptions,
): Pick<Series, 'points' | 'draw'> {
  const kept = records.filter((record) => metric in record);
  const at = kept.map((record) => (typeof record[x] === 'number' ? (record[x] as number) : Number.NaN));
  const values = kept.map((record) => (typeof record[metric] === 'number' ? (record[metric] as number) : Number.NaN));
  const evaluated = metric.startsWith('eval');
  const shown = evaluated ? values : smooth(values, weight);
  return {
    points: at.map((value, i) => [value, shown[i]!] as const),
    draw: evaluated && kept.length < 40 ? 'both' : 'line',
  };
}

function label(run: string, metric: string, { runs, metrics }: { runs: number; metrics: number }): string {
  if (runs === 1) return metric;
  return metrics === 1 ? run : `${run}, ${metric.split('/')[0]}`;
}
