// A key table says how a published checkpoint names what our modules hold, so that names are translated both ways from one list.
// Three of their keys may make one of ours (query, key and value): they are concatenated along the first axis, in that order.

import type { Shaped, StateDict } from '../nn/index.ts';
import { cat, noGrad, type Tensor, zerosLike } from '../tensor/index.ts';
import { WeightsError } from '../util/errors.ts';

/** Stem of our key -> stem of theirs, or stems; `*` is a block's number; without `.weight` and `.bias` a line holds for both. */
export type Stems = Readonly<Record<string, string | readonly string[]>>;

export interface KeyTable {
  name: string;
  stems: Stems;
  /** Keys of theirs that have no use here. */
  ignored: readonly RegExp[];
  /** Parts of joined keys that their files leave out because they are zeros. */
  zero?: readonly RegExp[];
}

/** The keys of theirs that make up one of ours; empty when the table does not know it. */
export function theirKeys(table: KeyTable, ours: string): string[] {
  for (const { stem, numbers, ending } of readings(ours)) {
    const theirs = table.stems[stem];
    if (theirs !== undefined) return [theirs].flat().map((other) => fill(other, numbers) + ending);
  }
  return [];
}

/** Our key for one of theirs, and which part of how many it is. */
export function ourKey(table: KeyTable, theirs: string): { key: string; part: number; parts: number } | undefined {
  for (const { stem, numbers, ending } of readings(theirs)) {
    for (const [ours, other] of Object.entries(table.stems)) {
      const stems = [other].flat();
      const part = stems.indexOf(stem);
      if (part >= 0) return { key: fill(ours, numbers) + ending, part, parts: stems.length };
    }
  }
  return undefined;
}

/** What an item of a state dict must offer to be translated: tensors, or shapes alone. */
export interface Joiner<T> {
  /** Joins parts along the first axis. */
  join(parts: T[]): T;
  /** Zeros of the same shape. */
  zeros(like: T): T;
}

/**
 * Translates a state dict of theirs. Keys the table ignores are left out; keys it does not know keep their name, so that strict
 * loading reports them.
 * @throws WeightsError when a part of a joined key is missing
 */
export function translate<T>(
  table: KeyTable,
  theirs: ReadonlyMap<string, T>,
  { join, zeros }: Joiner<T>,
): Map<string, T> {
  const ours = new Map<string, T>();
  const parts = new Map<string, (T | undefined)[]>();
  for (const [name, value] of theirs) {
    const found = ourKey(table, name);
    if (!found) {
      if (!table.ignored.some((pattern) => pattern.test(name))) ours.set(name, value);
      continue;
    }
    const pieces = parts.get(found.key) ?? new Array<T | undefined>(found.parts).fill(undefined);
    pieces[found.part] = value;
    parts.set(found.key, pieces);
  }
  for (const [key, pieces] of parts) {
    const names = theirKeys(table, key);
    const like = pieces.find((piece) => piece !== undefined)!;
    for (const [part, piece] of pieces.entries()) if (!piece && isZero(table, names[part]!)) pieces[part] = zeros(like);
    const present = pieces.filter((piece) => piece !== undefined);
    if (present.length < pieces.length) {
      const wanted = names.filter((_, part) => pieces[part] === undefined);
      throw new WeightsError(
        `${table.name}: expected the keys ${wanted.join(', ')}, received none. The file is incomplete.`,
      );
    }
    ours.set(key, present.length === 1 ? present[0]! : join(present));
  }
  return ours;
}

/** Translates a state dict of ours into theirs: joined keys are split again. Tensors are borrowed, or views of ours. */
export function translateBack(table: KeyTable, ours: ReadonlyMap<string, Tensor>): StateDict {
  const theirs: StateDict = new Map();
  for (const [key, value] of ours) {
    const names = theirKeys(table, key);
    if (names.length === 0) throw new WeightsError(`${table.name}: expected a known key, received '${key}'.`);
    const pieces = names.length === 1 ? [value] : value.chunk(names.length, 0);
    for (const [part, name] of names.entries()) {
      if (!isZero(table, name)) theirs.set(name, pieces[part]!);
      else if (pieces[part]!.ne(0).any().item() !== 0)
        throw new WeightsError(
          `${table.name}: expected zeros for '${name}', which has no place there, received others.`,
        );
    }
  }
  return theirs;
}

export const tensorJoiner: Joiner<Tensor> = {
  join: (parts) => noGrad(() => cat(parts, 0)),
  zeros: (like) => zerosLike(like),
};

/** Joins shapes as `tensorJoiner` joins tensors: for reading sizes off a header. */
export const shapeJoiner: Joiner<Shaped> = {
  join: (parts) => ({
    shape: [parts.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0), ...(parts[0]?.shape.slice(1) ?? [])],
  }),
  zeros: (like) => like,
};

/** Removes what wrappers put in front of keys (`module.`, `_orig_mod.`), however often and in whatever order. */
export function stripWrappers<T>(state: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...state].map(([key, value]) => [key.replace(/^((module|_orig_mod)\.)+/, ''), value]));
}

/** The entries below `prefix`, with the prefix cut off. */
export function below<T>(state: ReadonlyMap<string, T>, prefix: string): Map<string, T> {
  return new Map(
    [...state].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]),
  );
}

/** A key with its numbers taken out: whole, and without `.weight` or `.bias`. */
function readings(key: string): { stem: string; numbers: string[]; ending: string }[] {
  const numbers: string[] = [];
  const stem = key.replace(/(?<=\.)\d+(?=\.)/g, (number) => {
    numbers.push(number);
    return '*';
  });
  const [, body, ending] = /^(.*)(\.weight|\.bias)$/.exec(stem) ?? [];
  const whole = { stem, numbers, ending: '' };
  return body && ending ? [whole, { stem: body, numbers, ending }] : [whole];
}

function isZero({ zero = [] }: KeyTable, name: string): boolean {
  return zero.some((pattern) => pattern.test(name));
}

function fill(stem: string, numbers: readonly string[]): string {
  const left = [...numbers];
  return stem.replaceAll('*', () => left.shift() ?? '*');
}
