// What the edits share: the model with its sampler and guidance, the class of a photo, the photos themselves, and where the pictures go.

import { join } from 'node:path';
import type { Command } from 'commander';
import { inOrder } from '../data/index.ts';
import { decodeLatents, encodePictures } from '../inference/batches.ts';
import { type Editor, editorOf } from '../inference/edit.ts';
import { describeGuidance } from '../inference/guidance-choice.ts';
import { parseLabels } from '../inference/labels.ts';
import { type LoadedGenerator, loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { byteGrid, splitBytes, toBytes, toPixels } from '../inference/pixels.ts';
import { savePng } from '../io/image.ts';
import { cat, dispose, stack, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { beginVerb, modelVerb, stopIfInterrupted } from './model-options.ts';
import {
  describeSampler,
  guidanceFrom,
  type SamplingFlags,
  samplerFrom,
  withSamplingOptions,
} from './sampling-options.ts';

export interface EditFlags extends SamplingFlags {
  out: string;
  class?: string;
}

/** `rae edit NAME`, with the options of every edit. */
export function editVerb(name: string, description: string, example: string): Command {
  const verb = modelVerb(name, description, example, 'weights of the generator').requiredOption(
    '--out <path>',
    'FILE.png for a grid, or a folder for one PNG each',
  );
  return withSamplingOptions(verb);
}

/** --class of the edits that begin with photos. */
export function withClassOption(verb: Command): Command {
  return verb.option('--class <name>', 'class of the photos, by number or name (default: none, the null label)');
}

export interface Edit {
  model: LoadedGenerator;
  editor: Editor;
  /** The sampler and guidance in words. */
  how: string;
}

/** The model, and an editor of it. Edits end at t = 0 where velocity is predicted, unless told otherwise; `unguided` where the configuration's guidance is not meant. */
export function beginEdit(options: EditFlags, { unguided = false }: { unguided?: boolean } = {}): Edit {
  beginVerb(options);
  const model = loadModel(options.model, { ...options, need: 'generator' });
  if (unguided) options.guidance ??= 'none';
  const sampler = samplerFrom(model.config, options);
  const velocity = model.config.transport.params.prediction === 'velocity'; // which alone there is at t = 0
  if (options.end === undefined && sampler.sde === undefined && velocity) sampler.end = 'zero';
  const { choice, guidance } = guidanceFrom(model, options);
  const { seed, precision } = options;
  const onStep = ({ step, of }: { step: number; of: number }) => {
    stopIfInterrupted(() => 'nothing was written.');
    log.live(`step ${step}/${of}`);
  };
  const editor = editorOf(model, { ...sampler, guidance, seed, precision, onStep });
  return { model, editor, how: `${describeSampler(sampler)}, ${describeGuidance(choice)}` };
}

/** Labels of a list such as 'ring,star'. */
export function classList(text: string, { config, classes }: LoadedGenerator, flag: string): number[] {
  const choice = parseLabels(text, config, classes, flag);
  if (typeof choice !== 'string') return [...choice];
  throw new ConfigError(expected(flag, 'classes by number or name', text));
}

/** The label of --class: one class, else the null label, or 0 where there are no classes. ConfigError where there is no null label. */
export function photoLabel({ class: name }: EditFlags, model: LoadedGenerator): number {
  if (name !== undefined) {
    const labels = classList(name, model, '--class');
    if (labels.length === 1) return labels[0]!;
    throw new ConfigError(expected('--class', 'one class', name));
  }
  if (model.config.misc.num_classes === 0) return 0;
  if (model.generator.nullLabel !== undefined) return model.config.misc.null_label;
  throw new ConfigError('--class: expected a class for this model, which has no null label, received none.');
}

export interface Photos {
  names: string[];
  /** RGB bytes of each, cropped to the model's side. */
  bytes: Uint8Array[];
  /** [N, C, h, w], normalised. */
  latents: Tensor;
}

/** The photos of --input as bytes and latents; at most `num`. */
export async function readPhotos(
  { model }: Edit,
  { input, num, precision }: { input: string; num: number; precision?: EditFlags['precision'] },
): Promise<Photos> {
  const { rae, side, config } = model;
  const { source, nameOf } = await openInput(input, {
    side,
    num,
    exif: config.data.exif,
    seed: config.data.synthetic?.seed,
  });
  const photos = { names: [] as string[], bytes: [] as Uint8Array[] };
  const parts: Tensor[] = [];
  for await (const { images, labels, indices } of inOrder(source, { batch: 16 })) {
    photos.names.push(...Array.from(indices, nameOf));
    photos.bytes.push(...splitBytes(images, side).map((bytes) => bytes.slice()));
    parts.push(tidy(() => encodePictures(rae, toPixels(images, [labels.length, side, side]), { precision })));
  }
  if (parts.length === 0) throw new DataError(`--input: no picture of '${input}' can be read.`);
  const latents = cat(parts, 0);
  dispose(parts);
  return { ...photos, latents };
}

/** Latents as RGB bytes, one picture each. */
export function decoded({ model }: Edit, latents: Tensor, precision: EditFlags['precision']): Uint8Array[] {
  const bytes = tidy(() => toBytes(decodeLatents(model.rae, latents, { precision })));
  return splitBytes(bytes, model.side);
}

/** Writes pictures as one grid of `columns`, or as one PNG each into a folder. */
export async function writePictures(
  out: string,
  pictures: readonly Uint8Array[],
  { side, columns }: { side: number; columns: number },
): Promise<void> {
  if (out.endsWith('.png')) return savePng(out, byteGrid(pictures, { side, columns }));
  const save = (data: Uint8Array, i: number) =>
    savePng(join(out, `${String(i).padStart(3, '0')}.png`), { width: side, height: side, data });
  await Promise.all(pictures.map(save));
}

/** Noise [N, C, h, w] of seeds `seed`, `seed` + 1, ... */
export function noises({ editor }: Edit, seed: number, count: number): Tensor {
  return tidy(() => stack(Array.from({ length: count }, (_, i) => editor.noise(seed + i))));
}

/** `row` repeated: [C, h, w] -> [count, C, h, w]. */
export function repeated(row: Tensor, count: number): Tensor {
  return row
    .unsqueeze(0)
    .expand([count, ...row.shape])
    .contiguous();
}
