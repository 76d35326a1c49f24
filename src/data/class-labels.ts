// From what each picture of a set says of its class (a number, a name, nothing) to labels and class names.

import { existsSync } from 'node:fs';
import { DataError } from '../util/errors.ts';
import { readJsonTexts } from '../util/json.ts';

/** A label, the name of a class, or undefined where a picture says nothing. */
export type Mark = number | string | undefined;

const MAX_CLASSES = 1 << 18; // without names a label is believed up to here: Google Landmarks, the largest set, has 203,094

export interface ClassLabels {
  classes: string[];
  labels: number[];
}

/**
 * Labels of pictures by their marks: numbers are labels (named by `names` where given), names are numbered in their order, and a set
 * without marks is one class. DataError when some pictures have a mark of one kind and some of another or none.
 */
export function classLabels(
  marks: readonly Mark[],
  options: { where: string; names?: readonly string[] | undefined },
): ClassLabels {
  const { where, names } = options;
  const kinds = new Set(
    marks.map((mark) => (mark === undefined ? 'no label' : typeof mark === 'number' ? 'a number' : 'a name')),
  );
  if (kinds.size > 1) {
    throw new DataError(
      `${where}: expected labels of one kind, received pictures with ${[...kinds].join(', others with ')}.`,
    );
  }
  if (marks[0] === undefined) return { classes: [names?.[0] ?? 'pictures'], labels: marks.map(() => 0) };
  if (typeof marks[0] === 'string') {
    const classes = names ?? [...new Set(marks as string[])].sort();
    const numbers = new Map(classes.map((name, label) => [name, label]));
    return {
      classes: [...classes],
      labels: marks.map((mark) => numbers.get(String(mark)) ?? unknown(mark, where, classes)),
    };
  }
  const labels = marks as number[];
  const count = names?.length ?? Math.min(MAX_CLASSES, 1 + labels.reduce((most, label) => Math.max(most, label), 0));
  const wrong = labels.find((label) => !(Number.isInteger(label) && label >= 0 && label < count));
  if (wrong !== undefined) throw new DataError(`${where}: expected labels from 0 to ${count - 1}, received ${wrong}.`);
  return { classes: names ? [...names] : Array.from({ length: count }, (_, label) => String(label)), labels };
}

/** A set of several files by a short name. */
export function nameOfFiles([first, ...more]: readonly string[]): string {
  return more.length === 0 ? first! : `${first} and ${more.length} more`;
}

/** Names of classes from a `classes.json` (a list, as runs keep it) beside the data; undefined where there is none. */
export function classNames(path: string): string[] | undefined {
  return existsSync(path) ? readJsonTexts(path) : undefined;
}

function unknown(mark: Mark, where: string, classes: readonly string[]): never {
  throw new DataError(`${where}: expected one of the classes ${classes.slice(0, 10).join(', ')}, received '${mark}'.`);
}

/** The classes of an archive by its folders: the first below those that all names share; undefined for what lies in none. */
export function folderMarks(names: readonly string[]): Mark[] {
  const folders = names.map((name) =>
    name
      .split('/')
      .filter((part) => part !== '.')
      .slice(0, -1),
  );
  const shared = folders.length === 0 ? 0 : sharedDepth(folders);
  return folders.map((parts) => parts[shared]);
}

function sharedDepth(paths: readonly (readonly string[])[]): number {
  const [first = []] = paths;
  let depth = 0;
  while (depth < first.length && paths.every((parts) => parts[depth] === first[depth])) depth++;
  return depth;
}
