// Which class each picture is of: a label belongs to the index of its picture, so that picture i has the same whatever how many are made.

import type { RunConfig } from '../config/index.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { keyedNumber } from './noise.ts';

/** The class of picture `index`. */
export type LabelOf = (index: number) => number;

/** `all`: every class in turn; `random`: drawn evenly, from the seed; a list: its labels in turn. */
export type LabelChoice = 'all' | 'random' | readonly number[];

/** The rule as a function. Labels of a list must be classes of the model. */
export function labelsFor({ misc }: RunConfig, choice: LabelChoice, { seed }: { seed: number }): LabelOf {
  const classes = misc.num_classes;
  if (choice === 'random') return (index) => keyedNumber(classes, seed, index);
  if (choice === 'all') return (index) => index % classes;
  return (index) => choice[index % choice.length]!;
}

/** The labels of pictures 0 to `num` - 1. */
export function chooseLabels(
  config: RunConfig,
  choice: LabelChoice,
  { num, seed }: { num: number; seed: number },
): number[] {
  const labelOf = labelsFor(config, choice, { seed });
  return Array.from({ length: num }, (_, i) => labelOf(i));
}

/**
 * Reads `all`, `random`, or a list of labels and class names: '207,360', 'dress,hat'. A whole number is a label even where classes
 * have numbers for names. ConfigError names what is not among the model's classes.
 */
export function parseLabels(
  text: string,
  { misc }: RunConfig,
  names: readonly string[] | undefined,
  where = '--labels',
): LabelChoice {
  if (text === 'all' || text === 'random') return text;
  return text.split(',').map((part) => {
    const name = part.trim();
    const label = /^\d+$/.test(name) ? Number(name) : labelNamed(name, names);
    if (label !== undefined && label < misc.num_classes) return label;
    const near = names && nearest(name, names);
    const known = names && names.length <= 20 ? ` (${names.join(', ')})` : '';
    const what = `'all', 'random' or classes from 0 to ${misc.num_classes - 1}${known}`;
    throw new ConfigError(expected(where, what, name, near && near !== name ? `Did you mean '${near}'?` : undefined));
  });
}

function labelNamed(name: string, names: readonly string[] | undefined): number | undefined {
  const exact = names?.indexOf(name) ?? -1;
  if (exact >= 0) return exact;
  const alike = (names ?? []).flatMap((other, label) => (other.toLowerCase() === name.toLowerCase() ? [label] : []));
  return alike.length === 1 ? alike[0] : undefined;
}
