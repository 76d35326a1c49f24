// rae plot: charts as SVG or PNG (curves of runs, the time schedule, tables of results) and picture sheets of latents. A file a sub-verb.

import { Command } from 'commander';
import { curvesCommand } from './plot-curves.ts';
import { latentsCommand } from './plot-latents.ts';
import { nearestCommand } from './plot-nearest.ts';
import { scheduleCommand } from './plot-schedule.ts';
import { tableCommand } from './plot-table.ts';

export function command(): Command {
  return new Command('plot')
    .description('charts of runs, schedules and results; sheets of latents')
    .helpCommand(false)
    .addCommand(curvesCommand())
    .addCommand(scheduleCommand())
    .addCommand(tableCommand())
    .addCommand(latentsCommand())
    .addCommand(nearestCommand());
}
