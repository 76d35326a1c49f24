import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { DataError } from '../util/errors.ts';
import { scanImageFolder } from './image-folder.ts';

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

function tree(...files: string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'rae-folder-'));
  made.push(root);
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), '');
  }
  return root;
}

const names = (root: string, paths: readonly string[]) => paths.map((path) => relative(root, path));

it('sub-folders are classes, sorted; pictures are found below them in the order of torchvision', async () => {
  const root = tree(
    'b/2.png',
    'b/10.png',
    'B/x.JPEG',
    'a/sub/z.webp',
    'a/sub/deep/w.jpg',
    'a/sub-b/y.jpg',
    'a/q.tif',
    'a/note.txt',
    'loose.jpg',
  );
  const { classes, paths, labels } = await scanImageFolder(root);
  expect(classes).toEqual(['B', 'a', 'b']);
  const inA = ['a/q.tif', 'a/sub/z.webp', 'a/sub-b/y.jpg', 'a/sub/deep/w.jpg']; // sorted(os.walk(...)) of Python
  expect(names(root, paths)).toEqual(['B/x.JPEG', ...inA, 'b/10.png', 'b/2.png']);
  expect(labels).toEqual([0, 1, 1, 1, 1, 2, 2]);
});

it('names are sorted by code point, as Python sorts them', async () => {
  const root = tree('\u{1f41f}/a.png', '\uff5e/a.png', 'é/a.png', 'z/a.png');
  expect((await scanImageFolder(root)).classes).toEqual(['z', 'é', '\uff5e', '\u{1f41f}']);
});

it('a folder without classes is one class', async () => {
  const root = tree('b.png', 'a.jpg', 'notes/readme.txt');
  const { classes, paths, labels } = await scanImageFolder(root);
  expect(classes).toEqual([relative(tmpdir(), root)]);
  expect(names(root, paths)).toEqual(['a.jpg', 'b.png']);
  expect(labels).toEqual([0, 0]);
});

it('hidden files and folders are left out, links are followed, a link in a circle ends', async () => {
  const elsewhere = tree('1.png');
  const root = tree('a/._1.png', 'a/0.png', '.cache/x.png');
  symlinkSync(elsewhere, join(root, 'a', 'linked'));
  symlinkSync(root, join(root, 'a', 'circle'));
  symlinkSync(join(root, 'gone.png'), join(root, 'a', 'dangling.png'));
  const { classes, paths } = await scanImageFolder(root);
  expect(classes).toEqual(['a']);
  expect(names(root, paths)).toEqual(['a/0.png', 'a/linked/1.png']);
});

it('says what is wrong with a folder without pictures, a class without, no folder and a file', async () => {
  await expect(scanImageFolder(tree('a.txt'))).rejects.toThrow(/expected pictures \(\.jpg .*found none/);
  await expect(scanImageFolder(tree('a/1.png', 'b/2.txt'))).rejects.toThrow(/found none in b\. Remove or fill/);
  await expect(scanImageFolder('/nowhere/at/all')).rejects.toThrow(/received no such folder/);
  await expect(scanImageFolder(join(tree('a.png'), 'a.png'))).rejects.toThrow(DataError);
});
