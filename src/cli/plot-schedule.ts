// rae plot schedule: where training looks and where a sampler's steps lie, for latents of several dimensions. The shift sqrt(dim / base)
// moves both towards noise (RAE, arXiv 2510.11690, section 4.2): the larger a latent, the more noise it takes to hide it.

import type { Command } from 'commander';
import {
  dimensionShift,
  gridToZero,
  linear,
  parseTimeDistribution,
  timesFromUniform,
  trainingInterval,
} from '../diffusion/index.ts';
import { charts, type Series } from '../plot/index.ts';
import { linspace, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { count, figure } from '../util/format.ts';
import { checkChartEnding, saveChart } from './plot-output.ts';
import { integerOption, parseNumber, printResult, type VerbOptions, verb } from './shared.ts';

interface ScheduleOptions extends VerbOptions {
  out: string;
  dims: string;
  base: number;
  distribution: string;
  steps: number;
}

const DRAWS = 20_000; // quantiles of the distribution of t
const BINS = 50;

export function scheduleCommand(): Command {
  const example =
    'rae plot schedule --out schedule.svg\nrae plot schedule --dims 9408,196608 --distribution logit-normal_0_1 --out s.png';
  return verb('schedule', 'the times of training and sampling for latents of several dimensions', example)
    .requiredOption('--out <file>', 'the chart: .svg or .png')
    .option('--dims <list>', 'numbers in a latent: 196608 is 768 x 16 x 16', '4096,16384,196608')
    .addOption(integerOption('--base <n>', 'numbers in a latent that needs no shift', { min: 1, default: 4096 }))
    .option('--distribution <d>', 'uniform, or logit-normal_mu_sigma', 'uniform')
    .addOption(integerOption('--steps <n>', 'steps of the sampler', { min: 1, default: 50 }))
    .action(run);
}

async function run(options: ScheduleOptions): Promise<void> {
  const { out, base, steps } = options;
  checkChartEnding(out);
  const distribution = parse(options.distribution);
  const shifts = options.dims.split(',').map((text) => {
    const dim = parseNumber('--dims', text, { min: base }, true);
    return {
      dim,
      shift: dimensionShift(dim, base),
      name: `${count(dim)} numbers, shift ${figure(dimensionShift(dim, base))}`,
    };
  });
  const interval = trainingInterval(linear, 'velocity');
  const u = linspace(0.5 / DRAWS, 1 - 0.5 / DRAWS, DRAWS);
  const density = shifts.map(
    ({ name, shift }): Series => ({
      name,
      points: histogram(tidy(() => timesFromUniform(u, { distribution, interval, shift })).toNumbers()),
    }),
  );
  const noise = shifts.map(({ name, shift }): Series => {
    const grid = gridToZero(steps, { shift });
    return { name, points: grid.slice(1, -1).map((t, i) => [i + 1, 20 * Math.log10((1 - t) / t)] as const) };
  });
  const size = { width: 480, height: 340 };
  const svg = charts([
    {
      ...size,
      title: `Where training looks (${options.distribution})`,
      x: { label: 't (1 is noise)', domain: [0, 1] },
      y: { label: 'density' },
      series: density,
    },
    { ...size, title: `Signal to noise over ${steps} steps`, x: { label: 'step' }, y: { label: 'dB' }, series: noise },
  ]);
  u.dispose();
  await saveChart(out, svg);
  printResult(
    options,
    { out, shifts: shifts.map(({ dim, shift }) => ({ dim, shift })) },
    `${out}: ${shifts.map(({ name }) => name).join('; ')}`,
  );
}

function parse(text: string) {
  try {
    return parseTimeDistribution(text);
  } catch {
    throw new ConfigError(
      expected('--distribution', "uniform, or logit-normal_mu_sigma such as 'logit-normal_0_1'", text),
    );
  }
}

/** Density in equal bins of [0, 1], at their middles. */
function histogram(values: readonly number[]): [number, number][] {
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(value * BINS))]!++;
  return counts.map((n, i) => [(i + 0.5) / BINS, (n * BINS) / values.length]);
}
