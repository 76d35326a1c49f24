import { expect, test } from 'vitest';
import { memorySource } from '../data/index.ts';
import { ConfigError } from '../util/errors.ts';
import { labelledAs } from './sources.ts';

const source = (classes: string[], labels: number[]) =>
  memorySource({ name: 'held out', images: new Uint8Array(3 * labels.length), labels, side: 1, classes });
const labelsOf = ({ size, label }: ReturnType<typeof source>) => Array.from({ length: size }, (_, i) => label(i));

test('held-out pictures have the labels of training although their folder lacks a class', () => {
  const heldOut = labelledAs(['cat', 'dog', 'fox'], source(['cat', 'fox'], [0, 1, 1]));
  expect([labelsOf(heldOut), heldOut.classes]).toEqual([
    [0, 2, 2],
    ['cat', 'dog', 'fox'],
  ]);
});

test('a class that was not trained on is named', () => {
  expect(() => labelledAs(['cat', 'dog'], source(['cat', 'emu'], [0, 1]))).toThrow(ConfigError);
  expect(() => labelledAs(['cat', 'dog'], source(['cat', 'emu'], [0, 1]))).toThrow(/data\.eval_path: .*\['emu'\]/);
});

test('where training has one class, whatever is held out is of it', () => {
  expect(labelsOf(labelledAs(['photos'], source(['test', 'more'], [0, 1])))).toEqual([0, 0]);
});
