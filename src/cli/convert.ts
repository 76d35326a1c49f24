// rae convert: models and their parts from any layout that is read here to one that others read: the reference's files, diffusers'
// AutoencoderRAE, safetensors, PyTorch checkpoints.

import { existsSync, realpathSync, statSync } from 'node:fs';
import { extname, resolve, sep } from 'node:path';
import { type Command, Option } from 'commander';
import { fillDiffusers, fillOwn, fillReference } from '../inference/convert-folders.ts';
import { type ConvertSource, openSource, PARTS, type Part, withPart } from '../inference/convert-source.ts';
import { type WriteOptions, writeFolder, writePart } from '../inference/convert-write.ts';
import { hasConfig } from '../inference/model-folder.ts';
import { readTensors } from '../inference/tensors.ts';
import type { Dtype } from '../tensor/index.ts';
import { dispose } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { counted } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, stopIfInterrupted } from './model-options.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

const TARGETS = ['reference', 'diffusers', 'safetensors', 'pt'] as const;
type Target = (typeof TARGETS)[number];

interface ConvertOptions extends VerbOptions {
  to: Target;
  part?: Part;
  ema?: boolean;
  raw?: boolean;
  dtype?: 'f32' | 'bf16' | 'f16';
  force?: boolean;
}

export function command(): Command {
  const example = [
    'rae convert runs/dit reference --to reference',
    'rae convert RAE-dinov2-wReg-base-ViTXL-n08 model --to safetensors',
    'rae convert ep-0000010.pt stage2_model.pt --to reference --part dit',
  ].join('\n');
  return verb('convert', 'weights from one layout to another, both ways', example)
    .argument('<in>', "a run, a configuration, an AutoencoderRAE folder, a file of weights, or 'embedded'")
    .argument('<out>', 'the file, or for a whole model the folder, to write')
    .addOption(
      new Option(
        '--to <layout>',
        "reference (its .pt files), diffusers (AutoencoderRAE), safetensors (ours), or pt (PyTorch's container)",
      )
        .choices(TARGETS)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--part <part>', 'one part of it, as one file').choices(PARTS))
    .option('--ema', 'of a run or a training checkpoint the average of the weights (default)')
    .addOption(new Option('--raw', 'the trained weights themselves').conflicts('ema'))
    .addOption(new Option('--dtype <dtype>', 'what floats of networks become').choices(['f32', 'bf16', 'f16']))
    .option('--force', 'replace what is at OUT')
    .action(run);
}

interface Written {
  in: string;
  out: string;
  to: Target;
  parts: readonly string[];
  tensors: number;
  notes: string[];
}

function run(given: string, out: string, options: ConvertOptions): void {
  beginVerb(options);
  checkTarget(given, out, options);
  let tensors = 0;
  const writing: WriteOptions = {
    dtype: options.dtype as Dtype | undefined,
    onTensor: (name) => {
      stopIfInterrupted(() => 'nothing was written.');
      tensors += 1;
      log.live(`${counted(tensors, 'tensor')}, ${name}`);
    },
  };
  const source = openSource(given, { raw: options.raw ?? false, ema: options.ema ?? false });
  const { parts, notes } = isWhole(source, options)
    ? convertModel(source, out, options, writing)
    : convertPart(source, out, options, writing);
  log.done();
  const result: Written = { in: source.path, out, to: options.to, parts, tensors, notes };
  const text = `${out}: ${parts.join(', ')} of ${source.path} for ${options.to}, ${counted(tensors, 'tensor')}`;
  printResult(options, result, [text, ...notes.map((note) => `note: ${note}`)].join('\n'));
}

/** A whole model becomes a folder; one part of it, or what a lone file holds, a file. */
function isWhole({ parts }: ConvertSource, { part, to }: ConvertOptions): boolean {
  if (to === 'diffusers') return true;
  return parts !== undefined && (part === undefined || (part === 'rae' && to !== 'pt'));
}

function convertModel(source: ConvertSource, out: string, options: ConvertOptions, writing: WriteOptions) {
  const { to, part } = options;
  if (to === 'pt')
    throw new ConfigError(
      expected('--to pt', `--part, one of ${source.has.join(', ')}`, 'a whole model', 'A .pt file holds one of them.'),
    );
  if (to === 'diffusers' && part !== undefined && part !== 'rae')
    throw new ConfigError(
      expected(
        '--to diffusers',
        'a whole RAE',
        `--part ${part}`,
        'AutoencoderRAE has no file for it. Choose reference.',
      ),
    );
  if (source.parts === undefined)
    throw new ConfigError(
      expected(
        `--to ${to}`,
        'a model with its configuration',
        `the file '${source.path}'`,
        'Name a run, or a YAML file whose pretrained_decoder_path is this file.',
      ),
    );
  if (!source.has.includes('rae')) throw new ConfigError(expected(`--to ${to}`, 'a model with a decoder', source.path));
  if (/\.(safetensors|pt|pth|bin)$/.test(out))
    throw new ConfigError(
      expected('OUT', 'a folder for a whole model', out, `Name one, or choose --part ${source.has.join(' | ')}.`),
    );
  const kept = part === 'rae' ? { ...source, parts: { ...source.parts, dit: undefined } } : source;
  const notes: string[] = [];
  writeFolder(out, (folder) => {
    if (to === 'diffusers') notes.push(...fillDiffusers(folder, kept, writing));
    else if (to === 'reference') fillReference(folder, kept, writing);
    else fillOwn(folder, kept, writing);
  });
  const inside = to === 'diffusers' ? ['rae', 'stats'] : ['rae', 'stats', 'dit'];
  const { stats, dit } = kept.parts!;
  const parts = inside.filter((name) => name === 'rae' || { stats, dit }[name as 'stats' | 'dit'] !== undefined);
  if (to === 'diffusers' && dit !== undefined)
    notes.push('the generator stays behind: diffusers has no layout for it.');
  return { parts, notes };
}

function convertPart(source: ConvertSource, out: string, { to, part, raw }: ConvertOptions, writing: WriteOptions) {
  const container = to === 'safetensors' ? 'safetensors' : 'pt';
  const reference = to === 'reference';
  checkEnding(out, container);
  const chosen = part ?? onlyPart(source, reference);
  if (chosen === undefined) {
    const tensors = readTensors(source.path); // unknown tensors change their container alone
    try {
      writePart(out, undefined, { tensors, container }, writing);
    } finally {
      dispose(tensors);
    }
    return { parts: ['all tensors'], notes: [] };
  }
  if (reference && chosen === 'rae')
    throw new ConfigError(
      expected(
        '--to reference',
        '--part decoder, dit or stats of a lone file',
        'a whole RAE',
        'Only a model with its configuration becomes its folder of files.',
      ),
    );
  withPart(source, chosen, (tensors) => writePart(out, chosen, { tensors, container, reference }, writing));
  const chose = source.parts === undefined && raw ? ['the trained weights, not their average'] : [];
  return { parts: [chosen], notes: chose };
}

/** The part that a lone file is, when it is one; of a whole RAE that is the RAE. */
function onlyPart({ path, has }: ConvertSource, reference: boolean): Part | undefined {
  if (has.includes('rae')) return reference ? 'decoder' : 'rae';
  if (has.length === 0 && reference)
    throw new ConfigError(
      expected('--to reference', 'a decoder, a generator or statistics', path, '`rae inspect` says what it is.'),
    );
  return has[0];
}

function checkEnding(out: string, container: 'pt' | 'safetensors'): void {
  const endings = container === 'pt' ? ['.pt', '.pth', '.bin'] : ['.safetensors'];
  if (!endings.includes(extname(out)))
    throw new ConfigError(expected('OUT', `a name ending in ${endings.join(', ')}`, out));
}

/** Nothing is replaced unasked, and never what is read. */
function checkTarget(given: string, out: string, { force = false }: ConvertOptions): void {
  if (!existsSync(out)) return;
  if (!force)
    throw new ConfigError(
      expected('OUT', 'a path where nothing is', out, 'Choose another, or replace it with --force.'),
    );
  const target = realpathSync(out);
  const from = existsSync(given) ? realpathSync(given) : resolve(given);
  if (from === target || from.startsWith(target + sep))
    throw new ConfigError(expected('OUT', 'another place than IN', out));
  if (statSync(target).isDirectory() && !hasConfig(target))
    throw new ConfigError(
      expected('--force', 'an OUT that holds a model', `'${out}', a folder with something else`, 'Remove it yourself.'),
    );
}
