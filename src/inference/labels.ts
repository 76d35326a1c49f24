// Which class each picture is of: a label belongs to the index of its picture, so that picture i has the same whatever how many are made.

import type { RunConfig } from '../config/index.ts';
import { Generator, randint, randperm, tidy } from '../tensor/index.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { keyedNumber } from './noise.ts';

/** The class of picture `index`. */
export type LabelOf = (index: number) => number;

/**
 * `all`: every class in turn; `random`: drawn evenly, from the seed; `equal`: each as often as the others, in random order, for a set whose
 * size is known; a list: its labels in turn.
 */
export type LabelChoice = 'all' | 'random' | 'equal' | readonly number[];

/** The rule as a function. Labels of a list must be classes of the model; `num`, the size of the set, matters to `equal` alone. */
export function labelsFor(
  { misc }: RunConfig,
  choice: LabelChoice,
  { seed, num = 0 }: { seed: number; num?: number },
): LabelOf {
  const classes = Math.max(1, misc.num_classes); // an unconditional model is given label 0, which it does not look at
  if (choice === 'equal') {
    const labels = equalLabels(classes, num, seed);
    return (index) => labels[index % labels.length]!;
  }
  if (choice === 'random') return (index) => keyedNumber(classes, seed, index);
  if (choice === 'all') return (index) => index % classes;
  return (index) => choice[index % choice.length]!;
}

/**
 * Every class floor(num / classes) times, permuted by a generator of this seed; what is left of `num` is random from the same generator
 * (spec 13.2; there the tail also fills up the last batch).
 */
function equalLabels(classes: number, num: number, seed: number): number[] {
  return tidy(() => {
    const generator = new Generator(seed);
    const each = Math.floor(num / classes);
    const order = each === 0 ? [] : randperm(each * classes, { generator }).toNumbers();
    const tail = randint(0, classes, [num - each * classes], { generator }).toNumbers();
    generator.dispose();
    return [...order.map((place) => Math.floor(place / each)), ...tail];
  });
}

/** The labels of pictures 0 to `num` - 1. */
export function chooseLabels(
  config: RunConfig,
  choice: LabelChoice,
  { num, seed }: { num: number; seed: number },
): number[] {
  const labelOf = labelsFor(config, choice, { seed, num });
  return Array.from({ length: num }, (_, i) => labelOf(i));
}

/**
 * Reads `all`, `random`, `equal`, or a list of labels and class names: '207,360', 'dress,hat'. A whole number is a label even where classes
 * have numbers for names. ConfigError names what is not among the model's classes.
 */
export function parseLabels(
  text: string,
  { misc }: RunConfig,
  names: readonly string[] | undefined,
  where = '--labels',
): LabelChoice {
  if (text === 'all' || text === 'random' || text === 'equal') return text;
  if (misc.num_classes === 0) throw new ConfigError(expected(where, 'none: the model has no classes', text));
  return text.split(',').map((part) => {
    const name = part.trim();
    const label = /^\d+$/.test(name) ? Number(name) : labelNamed(name, names);
    if (label !== undefined && label < misc.num_classes) return label;
    const near = names && nearest(name, names);
    const known = names && names.length <= 20 ? ` (${names.join(', ')})` : '';
    const words = where === '--labels' ? "'all', 'random', 'equal' or " : '';
    const what = `${words}classes from 0 to ${misc.num_classes - 1}${known}`;
    throw new ConfigError(expected(where, what, name, near && near !== name ? `Did you mean '${near}'?` : undefined));
  });
}

function labelNamed(name: string, names: readonly string[] | undefined): number | undefined {
  const exact = names?.indexOf(name) ?? -1;
  if (exact >= 0) return exact;
  const alike = (names ?? []).flatMap((other, label) => (other.toLowerCase() === name.toLowerCase() ? [label] : []));
  return alike.length === 1 ? alike[0] : undefined;
}
