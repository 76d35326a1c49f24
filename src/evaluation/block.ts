// What an evaluation keeps of a set: blocks of 64 pictures aligned to their index, one file each, with their features and figures. A block
// is the unit of work, of interruption and of worker processes: whoever computes it, one thread and the same place in the network's batch
// give the same bits, and statistics are made of the blocks in their order. A file is there whole or not at all.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadSafetensors, readSafetensorsHeader, saveSafetensorsRaw } from '../io/safetensors.ts';
import { fromBuffer, type Tensor, tidy } from '../tensor/index.ts';
import { sha256 } from '../util/digest.ts';
import type { Extractor } from './extractor.ts';
import type { PairFigures, PairName } from './pair-figures.ts';
import type { PictureRange, PictureSet, Unreadable } from './picture-set.ts';

/** Pictures of a block. Every network's batch divides it. */
export const BLOCK = 64;

/** What is known of a block without its features. */
export interface BlockInfo {
  indices: number[];
  labels?: number[];
  unreadable: Unreadable[];
  /** How many pictures were cropped or resized. */
  resized: number;
  /** Pictures of one single colour. */
  constant: number[];
  /** Pictures whose bytes are all 0 or 1. */
  dark: number[];
  /** SHA-256 of the pixels. */
  digest: string;
  /** SHA-256 of the pixels of the originals, in a set of pairs. */
  originals?: string;
  /** Layer -> numbers of pictures with NaN or infinity among their features. */
  broken: Record<string, number[]>;
  figures: Partial<Record<PairName, number[]>>;
}

export interface BlockWork {
  set: PictureSet;
  extractor?: Extractor | undefined;
  layers: readonly string[];
  pairs?: PairFigures | undefined;
}

const KEY = 'rae.block';

export function blockCount({ size }: Pick<PictureSet, 'size'>): number {
  return Math.ceil(size / BLOCK);
}

export function blockFile(folder: string, block: number): string {
  return join(folder, `block-${String(block).padStart(6, '0')}.safetensors`);
}

/** Reads the pictures of a block, `portion` at a time. */
export async function readBlock(set: PictureSet, block: number, portion = BLOCK): Promise<PictureRange> {
  const start = block * BLOCK;
  const end = Math.min(set.size, start + BLOCK);
  const parts: PictureRange[] = [];
  for (let at = start; at < end; at += portion) parts.push(await set.read(at, Math.min(portion, end - at)));
  if (parts.length === 1) return parts[0]!;
  const originals = parts.flatMap((part) => part.originals ?? []);
  const labels = parts.flatMap((part) => part.labels ?? []);
  return {
    indices: parts.flatMap((part) => part.indices),
    images: Buffer.concat(parts.map((part) => part.images)),
    ...(originals.length > 0 && { originals: Buffer.concat(originals) }),
    ...(parts[0]!.labels && { labels }),
    unreadable: parts.flatMap((part) => part.unreadable),
    resized: parts.reduce((sum, part) => sum + part.resized, 0),
  };
}

/** Computes a block and writes its file. */
export function writeBlock(folder: string, block: number, range: PictureRange, work: BlockWork): void {
  const { set, extractor, layers, pairs } = work;
  const { indices, images, originals, labels } = range;
  const bytes = set.height * set.width * 3;
  const each = indices.map((_, i) => images.subarray(i * bytes, (i + 1) * bytes));
  const where = (is: (picture: Uint8Array) => boolean) => indices.filter((_, i) => is(each[i]!));
  const features = extractor && indices.length > 0 ? extractBlock(extractor, layers, block, range, set) : new Map();
  const broken = Object.fromEntries([...features].map(([layer, rows]) => [layer, nonFinite(rows, indices)]));
  const info: BlockInfo = {
    indices: [...indices],
    ...(labels && { labels: [...labels] }),
    unreadable: [...range.unreadable],
    resized: range.resized,
    constant: where(isConstant),
    dark: where((picture) => picture.every((value) => value <= 1)),
    digest: digestOf(images),
    ...(originals && { originals: digestOf(originals) }),
    broken,
    figures: pairs && originals ? pairs.compute(images, originals, [indices.length, set.height, set.width]) : {},
  };
  const tensors = new Map(
    [...features].map(([layer, rows]) => [
      layer,
      { dtype: 'f32' as const, shape: [indices.length, extractor!.layers[layer]!], data: new Uint8Array(rows.buffer) },
    ]),
  );
  saveSafetensorsRaw(blockFile(folder, block), tensors, { [KEY]: JSON.stringify(info) });
}

/** The description of a finished block; undefined where there is none. */
export function blockInfo(folder: string, block: number): BlockInfo | undefined {
  const path = blockFile(folder, block);
  if (!existsSync(path)) return undefined;
  return JSON.parse(readSafetensorsHeader(path).metadata[KEY]!) as BlockInfo;
}

/** Features [n, D] of a finished block, owned by the current scope; undefined where none of its pictures could be read. */
export function blockFeatures(folder: string, block: number, layer: string): Tensor | undefined {
  return tidy(() => loadSafetensors(blockFile(folder, block)).get(layer));
}

/** Features of the readable pictures, each computed at its own place of the network's batch; gaps are black pictures. */
function extractBlock(
  extractor: Extractor,
  layers: readonly string[],
  block: number,
  { indices, images }: PictureRange,
  { height, width }: PictureSet,
): Map<string, Float32Array> {
  const { batch } = extractor;
  const bytes = height * width * 3;
  const out = new Map(layers.map((layer) => [layer, new Float32Array(indices.length * extractor.layers[layer]!)]));
  for (let first = 0; first < indices.length; ) {
    const start = Math.floor((indices[first]! - block * BLOCK) / batch) * batch + block * BLOCK;
    const pixels = new Uint8Array(batch * bytes);
    let next = first;
    for (; next < indices.length && indices[next]! < start + batch; next++) {
      pixels.set(images.subarray(next * bytes, (next + 1) * bytes), (indices[next]! - start) * bytes);
    }
    tidy(() => {
      const input = fromBuffer(pixels, { shape: [batch, height, width, 3], dtype: 'u8' }).permute([0, 3, 1, 2]);
      for (const [layer, features] of extractor.extract(input.contiguous(), layers)) {
        const rows = features.toArray() as Float32Array;
        const D = extractor.layers[layer]!;
        for (let i = first; i < next; i++) {
          const place = indices[i]! - start;
          out.get(layer)!.set(rows.subarray(place * D, (place + 1) * D), i * D);
        }
      }
    });
    first = next;
  }
  return out;
}

function nonFinite(rows: Float32Array, indices: readonly number[]): number[] {
  const D = rows.length / indices.length;
  return indices.filter((_, i) => !rows.subarray(i * D, (i + 1) * D).every(Number.isFinite));
}

function isConstant(picture: Uint8Array): boolean {
  const [r, g, b] = picture;
  for (let i = 0; i < picture.length; i += 3)
    if (picture[i] !== r || picture[i + 1] !== g || picture[i + 2] !== b) return false;
  return true;
}

function digestOf(pixels: Uint8Array): string {
  return sha256([pixels]);
}
