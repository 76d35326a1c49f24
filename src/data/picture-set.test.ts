import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { memorySource as bytesSource } from '../io/file-reader.ts';
import { decodeImage, encodePng } from '../io/image.ts';
import { tarEntries } from '../io/tar.ts';
import { DataError } from '../util/errors.ts';
import { openPictureSet } from './picture-set.ts';
import { openSource } from './picture-source.ts';
import { Draws } from './random.ts';
import { admCrop } from './transforms.ts';

const PARQUET = fileURLToPath(new URL('../../test/data/pictures.parquet', import.meta.url));
let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'rae-sets-'));
  vi.stubEnv('XDG_CACHE_HOME', join(home, 'cache'));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true });
});

/** A picture of one colour. */
const plain = (red: number) => encodePng({ width: 6, height: 4, data: new Uint8Array(72).fill(red) });

/** Files below a fresh folder: text, or the red of a plain picture. */
async function tree(name: string, files: Record<string, string | number>): Promise<string> {
  const root = join(home, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === 'number' ? await plain(content) : content);
  }
  return root;
}

/** An archive of these files, in this order. */
function tar(folder: string, into: string, files: readonly string[], format = 'gnu'): string {
  execFileSync('tar', [`--format=${format}`, '-cf', join(home, into), '-C', folder, ...files]);
  return join(home, into);
}

/** The red of a set's picture. */
async function red(set: Awaited<ReturnType<typeof openPictureSet>>, index: number): Promise<number> {
  return (await decodeImage(await set.encoded(index))).data[0]!;
}

it('tar shards are read in any order, their labels from .cls, class names from classes.json beside them', async () => {
  const files = {
    '00.png': 1,
    '00.cls': '1',
    '01.png': 2,
    '01.cls': '0\n',
    '01.txt': 'a caption',
    '02.png': 3,
    '02.cls': '1',
  };
  const root = await tree('web', files);
  mkdirSync(join(home, 'shards'));
  tar(root, 'shards/train-000.tar', ['00.cls', '00.png', '01.png', '01.cls', '01.txt']);
  tar(root, 'shards/train-001.tar', ['02.png', '02.cls']);
  writeFileSync(join(home, 'shards', 'classes.json'), '["hat", "shoe"]');

  for (const path of ['shards', 'shards/train-{000..001}.tar', 'shards/train-*.tar']) {
    const set = await openPictureSet(join(home, path));
    expect(set.classes).toEqual(['hat', 'shoe']);
    expect(set.labels).toEqual([1, 0, 1]);
    expect([await red(set, 2), await red(set, 0), await red(set, 1)]).toEqual([3, 1, 2]);
    expect(set.describe(2)).toBe(`${join(home, 'shards/train-001.tar')}:02.png`);
  }
  const second = await openPictureSet(join(home, 'shards/train-{001..009}.tar'));
  expect(second.labels).toEqual([1]);
});

it.each(['gnu', 'pax', 'ustar'])('%s archives with long names have their folders as classes', async (format) => {
  const long = 'x'.repeat(70);
  const root = await tree(format, { [`set/b/${long}/${long}.png`]: 7, 'set/a/é.png': 8 });
  const set = await openPictureSet(tar(root, `${format}.tar`, ['set'], format));
  expect(set.classes).toEqual(['a', 'b']);
  const b = [0, 1].find((i) => set.labels[i] === 1)!;
  expect(set.describe(b)).toContain(`set/b/${long}/${long}.png`);
  expect([await red(set, b), await red(set, 1 - b)]).toEqual([7, 8]);
});

it('an archive that has changed is indexed anew', async () => {
  const root = await tree('changing', { 'a/1.png': 5, 'a/2.png': 6 });
  const path = tar(root, 'changing.tar', ['a/1.png']);
  expect((await openPictureSet(path)).labels).toHaveLength(1);
  tar(root, 'changing.tar', ['a/1.png', 'a/2.png']);
  expect((await openPictureSet(path)).labels).toHaveLength(2);
});

it('a zip archive, deflated or stored, is a folder of pictures; damage is found when a picture is read', async () => {
  const [one, two] = [await plain(1), await plain(2)];
  const bytes = zipSync({
    'p/b/1.png': [one, { level: 9 }],
    'p/a/2.png': [two, { level: 0 }],
    '__MACOSX/p/a/2.png': two,
    'p/n.txt': one,
  });
  const path = join(home, 'pictures.zip');
  writeFileSync(path, bytes);
  const set = await openPictureSet(path);
  expect([set.classes, set.labels]).toEqual([
    ['a', 'b'],
    [0, 1],
  ]);
  expect([await red(set, 0), await red(set, 1)]).toEqual([2, 1]);

  const damaged = Buffer.from(bytes);
  damaged[damaged.indexOf(Buffer.from(two)) + 50]! ^= 1;
  writeFileSync(path, damaged);
  await expect((await openPictureSet(path)).encoded(0)).rejects.toThrow('pictures.zip:p/a/2.png: the archive');
});

it('a parquet file of a Hugging Face set brings its class names, and is unpacked once', async () => {
  const path = join(home, 'pictures.parquet');
  cpSync(PARQUET, path, { preserveTimestamps: true });
  for (let time = 0; time < 2; time++) {
    const set = await openPictureSet(path);
    expect(set.classes).toEqual(['cat', 'dog', 'owl']);
    expect(set.labels).toEqual([1, 0, 1, 2, 0]);
    const { width, data } = await decodeImage(await set.encoded(3));
    expect([width, ...data.subarray(0, 3)]).toEqual([11, 120, 140, 90]);
  }
});

it('a list names pictures and their classes', async () => {
  const root = await tree('listed', {
    'x/1.png': 1,
    'x/2.png': 2,
    'list.jsonl': '{"file_name": "x/2.png", "label": "shoe"}\n\n{"file_name": "x/1.png", "label": "hat"}\n',
    'bad.jsonl': '{"file_name": "x/2.png"}\n{"label": 1}\n',
    'absurd.jsonl': '{"file_name": "x/2.png", "label": 4294967295}\n',
  });
  const set = await openPictureSet(join(root, 'list.jsonl'));
  expect([set.classes, set.labels]).toEqual([
    ['hat', 'shoe'],
    [1, 0],
  ]);
  expect(await red(set, 0)).toBe(2);
  await expect(openPictureSet(join(root, 'bad.jsonl'))).rejects.toThrow('bad.jsonl:2: expected {"file_name"');
  await expect(openPictureSet(join(root, 'absurd.jsonl'))).rejects.toThrow(
    /labels from 0 to 262143, received 4294967295/,
  );
});

it('a source crops the pictures of an archive as those of a folder', async () => {
  const root = await tree('cropped', { 'a/1.png': 9, 'b/2.png': 200 });
  const options = { transform: admCrop(4) };
  const [folder, archive] = [
    await openSource(root, options),
    await openSource(tar(root, 'cropped.tar', ['a', 'b']), options),
  ];
  expect(archive.classes).toEqual(folder.classes);
  for (const index of [0, 1]) {
    const [wanted, found] = [new Uint8Array(48), new Uint8Array(48)];
    await folder.read(index, new Draws(0, 0), wanted);
    await archive.read(index, new Draws(0, 0), found);
    expect(found).toEqual(wanted);
  }
});

it('what is not what its name says, or has no pictures, is refused', async () => {
  const root = await tree('wrong', {
    'html.tar': '<html>',
    'text.parquet': 'PAR1',
    'zip.zip': 'PK',
    'none.jsonl': '\n',
    'notes/n.txt': 'n',
  });
  const open = (name: string) => openPictureSet(join(root, name));
  await expect(open('html.tar')).rejects.toThrow(DataError);
  await expect(open('text.parquet')).rejects.toThrow('expected a parquet file');
  await expect(open('zip.zip')).rejects.toThrow('expected a zip archive');
  await expect(open('none.jsonl')).rejects.toThrow('expected pictures, found none');
  await expect(open('gone-*.tar')).rejects.toThrow('expected files of such names, found none');
  await expect(openPictureSet(tar(root, 'empty.tar', ['notes']))).rejects.toThrow('expected pictures, found none');
});

it('whatever happens to an archive, its entries lie within it or it is refused', async () => {
  const root = await tree('fuzzed', { 'a/1.png': 1, 'a/2.cls': '3' });
  const bytes = readFileSync(tar(root, 'fuzzed.tar', ['a'], 'pax'));
  const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(bytes.length), (changes, length) => {
      const broken = Uint8Array.from(bytes).subarray(0, length);
      for (const [at, value] of changes) if (at < length) broken[at] = value;
      try {
        for (const { offset, size } of tarEntries(bytesSource(broken, 'fuzzed')))
          expect(offset + size).toBeLessThanOrEqual(length);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
    { numRuns: 2000, seed: 1 },
  );
});
