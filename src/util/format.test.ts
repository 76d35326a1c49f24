import { expect, it } from 'vitest';
import { bytes, count, counted, duration, figure, percent, table } from './format.ts';

it.each([
  [0.452, '0.45 s'],
  [9.96, '10.0 s'],
  [59.6, '1 min 00 s'],
  [185, '3 min 05 s'],
  [3599.7, '1 h 00 min'],
  [7620, '2 h 07 min'],
  [273_600, '3 d 04 h'],
  [Number.POSITIVE_INFINITY, '?'],
])('%d seconds read %s', (seconds, text) => expect(duration(seconds)).toBe(text));

it.each([
  [512, '512 B'],
  [1500, '1.5 kB'],
  [434_184_800, '434 MB'],
  [999_999, '1.0 MB'],
  [2.1e9, '2.1 GB'],
])('%d bytes read %s', (n, text) => expect(bytes(n)).toBe(text));

it.each([
  [0.01234, '0.0123'],
  [1.234, '1.23'],
  [-56.78, '-56.8'],
  [1234.5, '1,235'],
  [1.23e-7, '1.23e-7'],
  [0, '0'],
  [Number.NaN, 'NaN'],
])('%d as a figure reads %s', (x, text) => expect(figure(x)).toBe(text));

it('counts and shares read as such', () => {
  expect(count(1234567)).toBe('1,234,567');
  expect(count(-999)).toBe('-999');
  expect([counted(1, 'picture'), counted(0, 'file'), counted(1234, 'file')]).toEqual([
    '1 picture',
    '0 files',
    '1,234 files',
  ]);
  expect(percent(0.625)).toBe('62.5 %');
});

it('a table sets text left and numbers right', () => {
  const rows = [
    ['model', 'PSNR'],
    ['shipped', '21.2 dB'],
    ['fresh', '9.8 dB'],
  ];
  expect(table(rows)).toBe('model       PSNR\nshipped  21.2 dB\nfresh     9.8 dB');
  expect(table([])).toBe('');
});
