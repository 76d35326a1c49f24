import { expect, test } from 'vitest';
import { chart, charts } from './chart.ts';
import { smooth } from './smooth.ts';

const axes = { x: { label: 'step' }, y: { label: 'loss' } };
const numbers = (path: string) => [...path.matchAll(/[\d.]+,[\d.]+/g)].map(([pair]) => pair.split(',').map(Number));
const pathOf = (svg: string) => /<path d="([^"]*)"/.exec(svg)![1]!;

test('a line runs through its points: right is more, up is more', () => {
  const [[x0, y0], [x1, y1]] = numbers(
    pathOf(
      chart({
        title: 't',
        ...axes,
        series: [
          {
            name: 'a',
            points: [
              [0, 1],
              [10, 3],
            ],
          },
        ],
      }),
    ),
  ) as [[number, number], [number, number]];
  expect(x1).toBeGreaterThan(x0);
  expect(y1).toBeLessThan(y0);
});

test('a point that is not finite, or that a logarithmic axis has no place for, is a gap', () => {
  const points = [
    [1, 1],
    [2, Number.NaN],
    [3, 10],
    [4, 0],
    [5, 100],
    [6, 1000],
  ] as const;
  const linear = pathOf(chart({ title: 't', ...axes, series: [{ name: 'a', points }] }));
  expect(linear.match(/M/g)).toHaveLength(2);
  const log = pathOf(chart({ title: 't', x: axes.x, y: { label: '', log: true }, series: [{ name: 'a', points }] }));
  expect(log.match(/M/g)).toHaveLength(3);
  const heights = numbers(log).map(([, y]) => y!);
  expect(heights[0]! - heights[1]!).toBeCloseTo(heights[2]! - heights[3]!, 0); // a decade is a decade
});

test('names are escaped, and the legend goes where it hides nothing', () => {
  const rising = Array.from({ length: 50 }, (_, i) => [i, i] as const);
  const svg = chart({
    title: '<b>',
    ...axes,
    series: [
      { name: 'a & b', points: rising },
      { name: 'c', points: rising },
    ],
  });
  expect(svg).toContain('&lt;b&gt;');
  expect(svg).toContain('a &amp; b');
  const [, x] = /<rect x="([\d.]+)"[^>]*fill-opacity="0.8"/.exec(svg)!;
  expect(Number(x)).toBeLessThan(320); // the upper left is free
});

test('nothing to show is an empty chart, and one value is not an empty axis', () => {
  for (const points of [[], [[2, 5]]] as [number, number][][]) {
    const svg = charts([{ title: 't', ...axes, series: [{ name: 'a', points, draw: 'points' }] }]);
    expect(svg).not.toContain('NaN');
  }
});

test('smoothing begins at the first value and leaves gaps alone', () => {
  const [first, gap, second] = smooth([4, Number.NaN, 8], 0.5);
  expect([first, gap]).toEqual([4, Number.NaN]);
  expect(second).toBeCloseTo((0.5 * 0.5 * 4 + 0.5 * 8) / 0.75, 12);
  expect(smooth([1, 2, 3], 0)).toEqual([1, 2, 3]);
});
