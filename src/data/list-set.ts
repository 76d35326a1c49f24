// Pictures named by a list: JSON lines such as {"file_name": "a/b.jpg", "label": 3}, as Hugging Face's metadata.jsonl has them. Paths are
// relative to the list; `label` is a number or the name of a class.

import { readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { unreadable } from '../io/file-reader.ts';
import { DataError } from '../util/errors.ts';
import { classLabels, classNames, type Mark, nameOfFiles } from './class-labels.ts';
import type { PictureSet } from './picture-set.ts';

const PATH_KEYS = ['file_name', 'path', 'image', 'file'] as const;
const LABEL_KEYS = ['label', 'class', 'cls'] as const;

/** The pictures of the lists. Class names come from a classes.json beside them. DataError names a line that says no path. */
export async function listSet(files: readonly string[]): Promise<PictureSet> {
  const rows = files.flatMap(readList);
  const where = nameOfFiles(files);
  const labelled = classLabels(
    rows.map(({ mark }) => mark),
    { where, names: classNames(join(dirname(files[0]!), 'classes.json')) },
  );
  return { name: where, ...labelled, describe: (i) => rows[i]!.path, encoded: (i) => rows[i]!.path };
}

function readList(file: string): { path: string; mark: Mark }[] {
  const lines = read(file).split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const row = parse(line);
    const path = PATH_KEYS.map((key) => row?.[key]).find((value) => typeof value === 'string');
    if (path === undefined) {
      throw new DataError(
        `${file}:${i + 1}: expected {"file_name": "...", "label": ...}, received ${line.trim().slice(0, 60)}.`,
      );
    }
    const mark = LABEL_KEYS.map((key) => row![key]).find(
      (value) => typeof value === 'number' || typeof value === 'string',
    );
    return [{ path: resolve(dirname(file), path as string), mark: mark as Mark }];
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw unreadable(basename(file), cause);
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
