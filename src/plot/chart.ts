// A chart of lines or points as SVG: axes with round ticks, linear or logarithmic, a legend, bands of uncertainty. Scales and ticks are
// d3-scale's; the drawing is text, so that charts need no browser and look the same everywhere.

import { scaleLinear, scaleLog } from 'd3-scale';
import { escapeXml, svg, tag } from './svg.ts';

export interface Series {
  name: string;
  /** Points that are not finite leave a gap. */
  points: readonly (readonly [x: number, y: number])[];
  /** Lower and upper y for each point, drawn behind the line. */
  band?: readonly (readonly [low: number, high: number])[] | undefined;
  /** A line (default), points alone, or both. */
  draw?: 'line' | 'points' | 'both' | undefined;
  dashed?: boolean | undefined;
  /** Number of its colour; default: its place. */
  color?: number | undefined;
}

export interface Axis {
  label: string;
  log?: boolean | undefined;
  /** Default: what the points need, widened to round numbers. */
  domain?: readonly [number, number] | undefined;
}

export interface ChartOptions {
  title: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
  width?: number;
  height?: number;
}

/** Okabe and Ito's colours, told apart by people of every kind of colour vision; the yellow is darkened for white paper. */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#b8a600'];

const MARGIN = { top: 34, right: 26, bottom: 46, left: 62 };
const DASHES = { 'stroke-dasharray': '5 4' };
const LINE = 16; // pixels a line of the legend

/** The chart as an SVG document. */
export function chart(options: ChartOptions): string {
  const { width = 640, height = 400 } = options;
  return svg(width, height, options.title, body({ ...options, width, height }));
}

/** Several charts in one document, `columns` in a row. All are as large as the first. */
export function charts(all: readonly ChartOptions[], { columns = 2 }: { columns?: number } = {}): string {
  const { width = 480, height = 320 } = all[0] ?? {};
  const across = Math.min(columns, all.length);
  const parts = all.map((options, i) => {
    const [x, y] = [(i % across) * width, Math.floor(i / across) * height];
    return tag('g', { transform: `translate(${x} ${y})` }, body({ ...options, width, height }));
  });
  return svg(
    across * width,
    Math.ceil(all.length / across) * height,
    all.map(({ title }) => title).join(', '),
    parts.join('\n'),
  );
}

type Sized = ChartOptions & { width: number; height: number };

function body({ title, x, y, series, width, height }: Sized): string {
  const kept = series.map((one) => ({ ...one, points: one.points.map(([a, b]) => drawable(a, b, x, y)) }));
  const xs = kept.flatMap(({ points }) => points.map(([a]) => a)).filter(Number.isFinite);
  const ys = kept
    .flatMap(({ points, band }) => [...points.map(([, b]) => b), ...(band ?? []).flat()])
    .filter(usable(y));
  const across = scale(x, xs, [MARGIN.left, width - MARGIN.right]);
  const up = scale(y, ys, [height - MARGIN.bottom, MARGIN.top]);
  const clip = `clip-${[...title].reduce((hash, c) => (hash * 31 + c.charCodeAt(0)) % 1e9, width)}`;
  const area = {
    x: MARGIN.left,
    y: MARGIN.top,
    width: width - MARGIN.left - MARGIN.right,
    height: height - MARGIN.top - MARGIN.bottom,
  };
  const lines = kept.map((one, i) => drawSeries(one, COLORS[(one.color ?? i) % COLORS.length]!, across, up));
  return [
    tag('text', { x: MARGIN.left, y: 20, 'font-weight': 600 }, escapeXml(title)),
    ticks(across, 'x', area),
    ticks(up, 'y', area),
    tag('text', { x: area.x + area.width / 2, y: height - 10, 'text-anchor': 'middle' }, escapeXml(x.label)),
    tag(
      'text',
      { transform: `translate(14 ${area.y + area.height / 2}) rotate(-90)`, 'text-anchor': 'middle' },
      escapeXml(y.label),
    ),
    tag('clipPath', { id: clip }, tag('rect', area)),
    tag('g', { 'clip-path': `url(#${clip})` }, lines.join('\n')),
    legend(
      kept,
      area,
      kept.flatMap(({ points }) => points.map(([a, b]) => [across(a), up(b)] as const)),
    ),
  ].join('\n');
}

/** A point that a logarithmic axis has no place for is a gap. */
function drawable(a: number, b: number, x: Axis, y: Axis): readonly [number, number] {
  return [usable(x)(a) ? a : Number.NaN, usable(y)(b) ? b : Number.NaN];
}

function usable({ log }: Axis): (value: number) => boolean {
  return (value) => Number.isFinite(value) && (!log || value > 0);
}

type Scale = ReturnType<typeof scaleLinear<number, number>> | ReturnType<typeof scaleLog<number, number>>;

function scale({ log, domain }: Axis, values: readonly number[], range: [number, number]): Scale {
  const made: Scale = log ? scaleLog<number, number>() : scaleLinear<number, number>();
  const [low, high] = domain ?? extent(values, log ?? false);
  made.domain([low, high]).range(range);
  return domain ? made : made.nice();
}

function extent(values: readonly number[], log: boolean): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (low > high) return log ? [1, 10] : [0, 1];
  if (low < high) return [low, high];
  return log ? [low / 2, low * 2] : [low - 1, low + 1];
}

interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

function ticks(axis: Scale, side: 'x' | 'y', area: Area): string {
  const count = side === 'x' ? Math.max(2, Math.round(area.width / 90)) : Math.max(2, Math.round(area.height / 50));
  const name = axis.tickFormat(count);
  const bottom = area.y + area.height;
  const drawn = axis.ticks(count).map((value) => {
    const at = axis(value);
    const [x1, y1, x2, y2] = side === 'x' ? [at, area.y, at, bottom] : [area.x, at, area.x + area.width, at];
    const place =
      side === 'x'
        ? { x: at, y: bottom + 16, 'text-anchor': 'middle' }
        : { x: area.x - 6, y: at + 4, 'text-anchor': 'end' };
    return tag('line', { x1, y1, x2, y2, stroke: '#e4e4e4' }) + tag('text', place, escapeXml(name(value)));
  });
  const [x2, y2] = side === 'x' ? [area.x + area.width, bottom] : [area.x, area.y];
  return [...drawn, tag('line', { x1: area.x, y1: bottom, x2, y2, stroke: '#333' })].join('');
}

function drawSeries({ points, band, draw = 'line', dashed }: Series, color: string, x: Scale, y: Scale): string {
  const placed = points.map(([a, b]): [number, number] => [x(a), y(b)]);
  const parts: string[] = [];
  if (band) {
    const edge = (which: 0 | 1) => points.map(([a], i): [number, number] => [x(a), y(band[i]![which])]);
    const outline = [...edge(0), ...edge(1).reverse()].filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
    parts.push(tag('polygon', { points: outline.map(place).join(' '), fill: color, 'fill-opacity': 0.15 }));
  }
  if (draw !== 'points') {
    const dash = dashed ? DASHES : {};
    parts.push(
      tag('path', {
        d: path(placed),
        fill: 'none',
        stroke: color,
        'stroke-width': 1.6,
        'stroke-linejoin': 'round',
        ...dash,
      }),
    );
  }
  if (draw !== 'line') {
    for (const [cx, cy] of placed) {
      if (Number.isFinite(cx) && Number.isFinite(cy)) parts.push(tag('circle', { cx, cy, r: 3, fill: color }));
    }
  }
  return parts.join('');
}

function path(points: readonly (readonly [number, number])[]): string {
  let pen = 'M';
  return points
    .map((point) => {
      if (!point.every(Number.isFinite)) {
        pen = 'M';
        return '';
      }
      const step = pen + place(point);
      pen = 'L';
      return step;
    })
    .join('');
}

function place([x, y]: readonly [number, number]): string {
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}

/** In the corner that hides the fewest points; nothing for a single series. */
function legend(series: readonly Series[], area: Area, points: readonly (readonly [number, number])[]): string {
  if (series.length < 2) return '';
  const size = {
    width: Math.max(...series.map(({ name }) => name.length)) * 6.6 + 40,
    height: series.length * LINE + 6,
  };
  const [right, bottom] = [area.x + area.width - size.width - 4, area.y + area.height - size.height - 4];
  const corners = [
    [right, area.y + 2],
    [area.x + 6, area.y + 2],
    [right, bottom],
    [area.x + 6, bottom],
  ] as const;
  const hidden = corners.map(
    ([x, y]) => points.filter(([a, b]) => a > x && a < x + size.width && b > y && b < y + size.height).length,
  );
  const [left, top] = corners[hidden.indexOf(Math.min(...hidden))]!;
  const rows = series.map(({ name, dashed, color, draw }, i) => {
    const y = top + 14 + i * LINE;
    const stroke = COLORS[(color ?? i) % COLORS.length]!;
    const dash = dashed ? DASHES : {};
    const mark =
      draw === 'points'
        ? tag('circle', { cx: left + 16, cy: y - 4, r: 3, fill: stroke })
        : tag('line', { x1: left + 5, y1: y - 4, x2: left + 27, y2: y - 4, stroke, 'stroke-width': 2, ...dash });
    return mark + tag('text', { x: left + 33, y }, escapeXml(name));
  });
  return tag('rect', { x: left, y: top, ...size, fill: '#fff', 'fill-opacity': 0.8 }) + rows.join('');
}
