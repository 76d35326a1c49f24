// rae edit as a user types it, on the shipped model with a handful of steps.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { decodeImage } from '../../src/io/image.ts';
import { captureOutput, err, forgetOutput, out } from '../capture.ts';
import { temporaryFolder } from './small-runs.ts';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

captureOutput();

const edit = (name: string, ...args: string[]) =>
  main(['edit', name, '--model', 'embedded', '--threads', '1', '--json', '--out', at(`${name}.png`), ...args]);
const photos = ['--input', 'embedded', '--num', '2'];
const size = async (name: string) => {
  const { width, height } = await decodeImage(at(name));
  return [(width - 2) / 34, (height - 2) / 34];
};

async function square(name: string, side: number, white: boolean): Promise<string> {
  const background = white ? '#fff' : '#000';
  await sharp({ create: { width: side, height: side, channels: 3, background } })
    .png()
    .toFile(at(name));
  return at(name);
}

it('frames go from one seed and class to the others, and end where rae sample begins', async () => {
  const more = ['--steps', '5', '--guidance', 'none', '--sampler', 'euler', '--end', 'zero'];
  expect(await edit('interpolate', '--classes', 'ring,star', '--seeds', '3,4', '--num', '5', ...more)).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ pictures: 5, classes: [0, 1], seeds: [3, 4] });
  expect(await size('interpolate.png')).toEqual([5, 1]);
  const strip = await sharp(at('interpolate.png')).extract({ left: 2, top: 2, width: 32, height: 32 }).raw().toBuffer();
  const sample = ['--labels', 'ring', '--num', '1', '--seed', '3', '--rounding', 'round', '--out', at('one.png')];
  expect(await main(['sample', '--model', 'embedded', '--threads', '1', '--json', ...more, ...sample])).toBe(0);
  const { data } = await decodeImage(at('one.png'));
  const off = strip.reduce((worst, byte, i) => Math.max(worst, Math.abs(byte - data[i]!)), 0);
  expect(off).toBeLessThanOrEqual(1); // another batch size may round otherwise
});

it('a photo goes to noise and back with a small error, which is reported', async () => {
  expect(await edit('invert', ...photos, '--steps', '20', '--sampler', 'heun2')).toBe(0);
  const { scores } = JSON.parse(out) as { scores: { error: number; psnr: number }[] };
  expect(scores).toHaveLength(2);
  for (const { error, psnr } of scores) expect([error < 0.03, psnr > 35]).toEqual([true, true]);
  expect(await size('invert.png')).toEqual([3, 2]);
});

it('variations, mixtures and inpainting give a grid each', async () => {
  expect(await edit('vary', ...photos, '--steps', '4', '--variations', '3')).toBe(0);
  expect(await size('vary.png')).toEqual([5, 2]);
  expect(await edit('mix', '--classes', 'ring=2,star', '--num', '3', '--steps', '4')).toBe(0);
  expect(await size('mix.png')).toEqual([3, 1]);
  const mask = await square('white.png', 32, true);
  const few = ['--steps', '3', '--repeats', '2', '--variations', '2'];
  expect(await edit('inpaint', ...photos, '--mask', mask, '--class', 'ring', ...few)).toBe(0);
  expect(await size('inpaint.png')).toEqual([4, 2]);
});

it.each<[string, string[], RegExp]>([
  ['interpolate', ['--seeds', '1,2'], /^--classes: expected a class, or one for each key frame, received 'none'/],
  ['interpolate', ['--classes', 'ring'], /^--seeds, --classes: expected at least two of one of them/],
  [
    'interpolate',
    ['--classes', 'ring,star', '--seeds', '1,2,3'],
    /^--classes: expected one class, or as many as --seeds/,
  ],
  ['interpolate', ['--classes', '12', '--seeds', '1,2'], /^--classes: expected classes from 0 to 9 .* received '12'/],
  ['mix', ['--classes', 'ring=0'], /^--classes: expected a weight above 0/],
  ['invert', ['--input', 'nowhere.jpg'], /^--input: expected an existing picture/],
  ['invert', [...photos, '--sampler', 'euler_maruyama'], /^--sampler: expected a sampler of the ODE/],
  ['vary', [...photos, '--strength', '0'], /^--strength: expected a number above 0/],
  ['vary', [...photos, '--class', 'ring,star'], /^--class: expected one class/],
  ['inpaint', [...photos, '--mask', 'nowhere.png'], /^--mask: expected an existing picture, received 'nowhere.png'/],
])('rae edit %s %j is refused', async (name, args, message) => {
  expect(await edit(name, ...args)).toBe(2);
  expect(err.slice('rae: '.length)).toMatch(message);
  expect(err).toMatch(/^rae: .*\n$/);
});

it('a mask of another size and one without white are refused', async () => {
  expect(await edit('inpaint', ...photos, '--mask', await square('small.png', 20, true))).toBe(2);
  expect(err).toBe('rae: --mask: expected a picture of 32 x 32, received 20 x 20.\n');
  forgetOutput();
  expect(await edit('inpaint', ...photos, '--mask', await square('black.png', 32, false))).toBe(2);
  expect(err).toMatch(/^rae: --mask: expected some white in the square/);
});
