// rae inspect: what a file or a run is, from headers alone, so that gigabytes take no longer than kilobytes; and two files compared.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { EMBEDDED } from '../inference/model-folder.ts';
import { latestCheckpoint } from '../runs/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { bytes, count, table } from '../util/format.ts';
import { newestCheckpoint } from '../weights/index.ts';
import { hintFor, resolveWeights } from '../weights/resolve.ts';
import { compareFiles, comparisonText } from './inspect-diff.ts';
import { countBytes, countElements, type Listing, listTensors, type TensorEntry } from './inspect-file.ts';
import { describeRun, runText } from './inspect-run.ts';
import { type Recognised, recognise } from './inspect-what.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

interface InspectOptions extends VerbOptions {
  diff?: boolean;
  full?: boolean;
}

export function command(): Command {
  const example = 'rae inspect runs/dit\nrae inspect model.safetensors\nrae inspect --diff a.safetensors b.safetensors';
  return verb('inspect', 'what a file or a run is: tensors, metadata, how to use it', example)
    .argument('<path>', "a run, a file of tensors (safetensors, PyTorch, npz, npy), an encoder's folder, or 'embedded'")
    .argument('[other]', 'the second file of --diff')
    .option('--diff', 'compare two files (of runs: their newest averages), tensor by tensor')
    .option('--full', 'a line for every tensor, where repeated blocks share one otherwise')
    .action((path: string, other: string | undefined, options: InspectOptions) => {
      if (options.diff) showDifference(path, other, options);
      else if (other !== undefined)
        throw new ConfigError(expected('rae inspect', 'one path, or two with --diff', other));
      else show(path, options);
    });
}

function show(given: string, options: InspectOptions): void {
  const path = existing(given);
  if (statSync(path).isDirectory() && existsSync(join(path, 'config.yaml'))) {
    const run = describeRun(path, given);
    printResult(options, run, runText(run));
    return;
  }
  const file = fileIn(path, given);
  const listing = listTensors(file);
  const recognised = recognise(listing, file);
  const { format, size, tensors, metadata } = listing;
  const elements = countElements(tensors);
  const result = { path: file, format, size, ...recognised, elements, metadata, tensors };
  printResult(options, result, fileText(file, listing, recognised, options.full ?? false));
}

const FOLDER_FILES = [
  'ema.safetensors',
  ...['model', 'diffusion_pytorch_model'].flatMap((stem) => [`${stem}.safetensors`, `${stem}.safetensors.index.json`]),
  ...['pytorch_model', 'diffusion_pytorch_model'].flatMap((stem) => [`${stem}.bin`, `${stem}.bin.index.json`]),
];

function showDifference(a: string, b: string | undefined, options: InspectOptions): void {
  if (b === undefined) throw new ConfigError('rae inspect --diff: expected two files, received one.');
  const comparison = compareFiles(fileIn(existing(a), a), fileIn(existing(b), b));
  printResult(options, { a, b, ...comparison }, comparisonText(comparison, a, b));
}

function existing(path: string): string {
  const real = path === 'embedded' ? EMBEDDED : resolveWeights(path, 'rae inspect');
  if (existsSync(real)) return real;
  throw new ConfigError(expected('rae inspect', 'an existing file or folder', path, hintFor(path)));
}

/** The file of tensors that is meant: of a run the newest average, of a folder of Hugging Face or diffusers its model, of one of the
 * reference's training checkpoints the newest. */
function fileIn(path: string, given: string): string {
  if (!statSync(path).isDirectory()) return path;
  const checkpoint = latestCheckpoint(path)?.path;
  const candidates = [
    ...(checkpoint === undefined ? [] : [join(checkpoint, 'ema.safetensors')]),
    ...FOLDER_FILES.map((name) => join(path, name)),
    ...[newestCheckpoint(readdirSync(path))].flatMap((name) => (name === undefined ? [] : [join(path, name)])),
  ];
  const found = candidates.find((file) => existsSync(file));
  if (found) return found;
  throw new ConfigError(`rae inspect: expected a run or a model in '${given}', received a folder without either.`);
}

function fileText(
  path: string,
  { format, size, tensors, metadata }: Listing,
  { what, next, convert }: Recognised,
  full: boolean,
): string {
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))].join(', ');
  const lines = Object.entries(metadata).map(
    ([key, value]) => `${key}: ${value.length > 100 ? `${value.slice(0, 97)}...` : value}`,
  );
  return [
    `${path}: ${format}, ${bytes(size)}`,
    what,
    `${count(countElements(tensors))} numbers in ${count(tensors.length)} tensor${tensors.length === 1 ? '' : 's'} (${dtypes || 'none'}), ${bytes(countBytes(tensors))}`,
    ...lines,
    table(
      (full ? tensors.map(single) : collapse(tensors)).map(({ name, dtype, shape, copies }) => [
        name,
        dtype,
        `[${shape.join(', ')}]`,
        copies > 1 ? `x ${copies}` : '',
      ]),
    ),
    ...(next === undefined ? [] : [`next: ${next}`]),
    ...(convert === undefined ? [] : [`convert: ${convert}`]),
  ].join('\n');
}

type Line = TensorEntry & { copies: number };

function single(entry: TensorEntry): Line {
  return { ...entry, copies: 1 };
}

/** Tensors that differ in the number of their block alone share a line: `blocks.{0-5}.attn.qkv.weight`. */
export function collapse(tensors: readonly TensorEntry[]): Line[] {
  const groups = new Map<string, { entry: TensorEntry; numbers: number[] }>();
  for (const entry of tensors) {
    const number = /(?<=\.)\d+(?=\.)/.exec(entry.name);
    const pattern = number ? entry.name.replace(/(?<=\.)\d+(?=\.)/, '*') : entry.name;
    const key = `${pattern} ${entry.dtype} ${entry.shape}`;
    const group = groups.get(key) ?? { entry, numbers: [] };
    group.numbers.push(Number(number?.[0] ?? -1));
    groups.set(key, group);
  }
  return Array.from(groups.values(), ({ entry, numbers }) => {
    if (numbers.length === 1) return single(entry);
    return { ...entry, name: entry.name.replace(/(?<=\.)\d+(?=\.)/, `{${ranges(numbers)}}`), copies: numbers.length };
  });
}

/** 0, 1, 2, 5 -> '0-2,5' */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const n of [...numbers].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}
