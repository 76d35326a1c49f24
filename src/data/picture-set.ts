// A set of encoded pictures with labels, wherever they lie: in folders, tar shards, zip archives, parquet files, or named by a list.
// What it is shows by its name; picture-source.ts decodes and crops.

import { existsSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError } from '../util/errors.ts';
import { scanImageFolder } from './image-folder.ts';
import { listSet } from './list-set.ts';
import { tarSet } from './tar-set.ts';
import { zipSet } from './zip-set.ts';

export interface PictureSet {
  /** Where the pictures come from, for messages. */
  readonly name: string;
  readonly classes: readonly string[];
  /** One a picture, numbers of `classes`. */
  readonly labels: ArrayLike<number>;
  /** Names one picture in messages: its path, or its archive and its name there. */
  describe(index: number): string;
  /** The path of the file of picture `index`, or its bytes. DataError when it cannot be read. */
  encoded(index: number): string | Promise<Uint8Array>;
}

type Kind = 'tar' | 'zip' | 'parquet' | 'jsonl';

const openers: Record<Kind, (files: readonly string[]) => Promise<PictureSet>> = {
  tar: tarSet,
  zip: zipSet,
  parquet: async (files) => (await import('./parquet-set.ts')).parquetSet(files), // its library is large
  jsonl: listSet,
};

/**
 * Opens the pictures that `path` names: a folder of pictures (a class a sub-folder), a folder of .tar or .parquet files, one file ending
 * in .tar, .zip, .parquet or .jsonl, or several by a pattern with `*` or `{000..012}` in its last part.
 * DataError when there is no such thing, or no picture in it.
 */
export async function openPictureSet(path: string): Promise<PictureSet> {
  const files = await filesOf(path);
  const kind = files && kindOf(files);
  if (files === undefined || kind === undefined) {
    const { root, classes, paths, labels } = await scanImageFolder(path);
    return { name: root, classes, labels, describe: (i) => paths[i]!, encoded: (i) => paths[i]! };
  }
  const set = await openers[kind](files);
  if (set.labels.length === 0) throw new DataError(`${set.name}: expected pictures, found none.`);
  return set;
}

/** Whether `path` is named as a file that holds pictures, rather than as one picture. */
export function isPictureSet(path: string): boolean {
  return kindOf([path]) !== undefined;
}

/** The archives that `path` names; undefined for a folder of pictures. */
async function filesOf(path: string): Promise<string[] | undefined> {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort();
    for (const kind of ['tar', 'parquet'] as const) {
      const archives = names.filter((name) => kindOf([name]) === kind);
      if (archives.length > 0) return archives.map((name) => join(path, name));
    }
    return undefined;
  }
  if (!/[*{]/.test(basename(path)) || !existsSync(dirname(path))) {
    if (kindOf([path]) !== undefined) throw new DataError(`${path}: cannot be read (no such file).`);
    return undefined;
  }
  const pattern = matcher(basename(path));
  const names = (await readdir(dirname(path))).filter((name) => pattern(name)).sort();
  if (names.length === 0) throw new DataError(`${path}: expected files of such names, found none.`);
  return names.map((name) => join(dirname(path), name));
}

/** The one kind of all these names. DataError when they differ. */
function kindOf(names: readonly string[]): Kind | undefined {
  const kinds = new Set(names.map((name) => /\.(tar|zip|parquet|jsonl)$/i.exec(name)?.[1]?.toLowerCase()));
  if (kinds.size > 1) throw new DataError(`expected files of one kind, received ${names.slice(0, 5).join(', ')}.`);
  return [...kinds][0] as Kind | undefined;
}

/** `*` stands for anything, `{a..b}` for the numbers between, as many digits as `a` has. */
function matcher(pattern: string): (name: string) => boolean {
  const ranges: [number, number][] = [];
  const source = pattern
    .split(/(\*|\{\d+\.\.\d+\})/)
    .map((part) => {
      if (part === '*') return '.*';
      const range = /^\{(\d+)\.\.(\d+)\}$/.exec(part);
      if (!range) return part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&');
      ranges.push([Number(range[1]), Number(range[2])]);
      return `(\\d{${range[1]!.length},})`;
    })
    .join('');
  const expression = new RegExp(`^${source}$`);
  return (name) => {
    const found = expression.exec(name);
    return (
      found !== null && ranges.every(([low, high], i) => low <= Number(found[i + 1]) && Number(found[i + 1]) <= high)
    );
  };
}
