import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { DataError } from '../util/errors.ts';
import { decodeImage, encodePng } from './image.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-image-'));
const pixels = (channels: 1 | 2 | 3 | 4, values: number[]) =>
  sharp(new Uint8Array(values), { raw: { width: values.length / channels, height: 1, channels } });

test('RGB survives PNG, from a file and from bytes', async () => {
  const image = { width: 2, height: 1, data: new Uint8Array([1, 2, 3, 250, 251, 252]) };
  const png = await encodePng(image);
  writeFileSync(join(folder, 'a.png'), png);
  expect(await decodeImage(join(folder, 'a.png'))).toMatchObject({ width: 2, height: 1 });
  expect([...(await decodeImage(png)).data]).toEqual([...image.data]);
});

test('alpha is dropped without compositing, grey is repeated', async () => {
  expect([...(await decodeImage(await pixels(4, [10, 20, 30, 0]).png().toBuffer())).data]).toEqual([10, 20, 30]);
  expect([...(await decodeImage(await pixels(2, [7, 128]).png().toBuffer())).data]).toEqual([7, 7, 7]);
});

test('the EXIF orientation is applied, or ignored on request', async () => {
  const turned = await pixels(3, [255, 0, 0, 0, 0, 255]).withMetadata({ orientation: 6 }).png().toBuffer();
  expect(await decodeImage(turned)).toMatchObject({ width: 1, height: 2 });
  expect(await decodeImage(turned, { exif: false })).toMatchObject({ width: 2, height: 1 });
});

test('damaged, empty, foreign and missing files are named', async () => {
  const png = await encodePng({ width: 40, height: 40, data: new Uint8Array(4800).map((_, i) => (i * 37) % 256) });
  await expect(decodeImage(png.subarray(0, png.length / 2), { name: 'cut.png' })).rejects.toThrow(/^cut.png: /);
  await expect(decodeImage(new Uint8Array(0), { name: 'none.png' })).rejects.toThrow(
    'none.png: expected a picture, received an empty file.',
  );
  await expect(
    decodeImage(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')),
  ).rejects.toThrow(/received svg/);
  await expect(decodeImage(join(folder, 'none.jpg'))).rejects.toThrow(/none.jpg: cannot be read \(no such file\)/);
  await expect(decodeImage(folder)).rejects.toThrow(DataError);
});
