// Charts as SVG.
export { type Axis, type ChartOptions, chart, charts, type Series } from './chart.ts';
export { smooth } from './smooth.ts';
