// rae eval pack: a folder of pictures as one npz of bytes (arr_0, uint8 [N, H, W, 3]), as the reference's pack_images.py does it: ADM's centre
// crop where a picture is of another size, at most 50,000, in the order of their paths. Labels go in as arr_1 where there are classes.

import type { Command } from 'commander';
import { openSet } from '../evaluation/open-set.ts';
import { Spool } from '../inference/spool.ts';
import type { NpyArray } from '../io/npy.ts';
import { type NpyStream, saveNpz } from '../io/npz.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { count, duration } from '../util/format.ts';
import { log } from '../util/log.ts';
import { storedSpec } from './eval-inputs.ts';
import { beginVerb, stopIfInterrupted } from './model-options.ts';
import { integerOption, printResult, type VerbOptions, verb } from './shared.ts';

interface PackOptions extends VerbOptions {
  input: string;
  out: string;
  size: number;
  num: number;
  exif: boolean;
}

/** Pictures read at once. */
const PORTION = 64;

export function packCommand(): Command {
  const example = 'rae eval pack --input imagenet/val --size 256 --out val-256.npz';
  return verb('pack', 'a folder of pictures as one npz', example)
    .requiredOption('--input <path>', 'the pictures: a folder or an archive')
    .requiredOption('--out <file>', 'the npz')
    .addOption(integerOption('--size <n>', 'side that pictures are cropped to', { min: 1, default: 256 }))
    .addOption(integerOption('--num <n>', 'at most so many, the first ones', { min: 1, default: 50000 }))
    .option('--no-exif', 'ignore EXIF orientation, as the reference does')
    .action(run);
}

async function run(options: PackOptions): Promise<void> {
  const { input, out, size, exif, num } = options;
  if (!out.endsWith('.npz')) throw new ConfigError(expected('--out', 'a name ending in .npz', out));
  beginVerb(options);
  const started = performance.now();
  const set = await openSet(await storedSpec('--input', input, { side: size, exif }));
  const spool = new Spool(out);
  const labels: number[] = [];
  const unreadable: string[] = [];
  let [packed, resized] = [0, 0];
  try {
    const all = Math.min(set.size, num);
    for (let start = 0; start < all; start += PORTION) {
      stopIfInterrupted(() => `after ${packed} of ${all} pictures; nothing was written.`);
      const range = await set.read(start, Math.min(PORTION, all - start));
      spool.append(range.images);
      labels.push(...(range.labels ?? []));
      for (const { message } of range.unreadable) {
        log.warn(`${message} Left out.`);
        unreadable.push(message);
      }
      packed += range.indices.length;
      resized += range.resized;
      log.live(`${count(packed)}/${count(all)} pictures`);
    }
    log.done();
    if (packed === 0) throw new DataError(`${input}: none of its ${all} pictures can be read.`);
    const arrays = new Map<string, NpyArray | NpyStream>();
    arrays.set('arr_0', { dtype: 'u8', shape: [packed, set.height, set.width, 3], pieces: spool.pieces() });
    if (set.classes && labels.length === packed) {
      arrays.set('arr_1', { dtype: 'i64', shape: [packed], data: BigInt64Array.from(labels, BigInt) });
    }
    saveNpz(out, arrays);
  } finally {
    spool.dispose();
    set.close();
  }
  const seconds = (performance.now() - started) / 1000;
  const result = { out, pictures: packed, size: [set.height, set.width], resized, unreadable, seconds };
  const cropped = `${count(resized)} of them cropped to ${size} x ${size}`;
  printResult(options, result, `${out}: ${count(packed)} pictures, ${cropped}; ${duration(seconds)}`);
}
