// Where sampled pictures go, as they come: a grid, a folder of PNGs by index, an npz. Bytes are rounded in a grid and cut off elsewhere,
// as the reference's sample.py and sample_ddp.py do (spec 13.1, 13.2).

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { byteGrid, splitBytes, toBytes } from '../inference/pixels.ts';
import { Spool } from '../inference/spool.ts';
import { savePng } from '../io/image.ts';
import type { NpyArray } from '../io/npy.ts';
import { type NpyStream, saveNpz } from '../io/npz.ts';
import type { Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { log } from '../util/log.ts';

export interface Sink {
  /** Takes pictures [n, 3, H, W] in [0, 1] and frees them. */
  add(pixels: Tensor, batch: { index: number; labels: readonly number[] }): Promise<void>;
  /** Writes what can only be written at the end. */
  finish(): Promise<void>;
  /** Removes what is temporary. Call it in any case. */
  dispose(): void;
  /** Whether pictures stay where an interruption ends the run. */
  readonly keeps: boolean;
}

interface Outputs {
  out?: string;
  npz?: string;
}

interface Layout {
  side: number;
  columns: number;
  num: number;
  first: number;
}

/** Refuses names that cannot be meant, before anything is loaded. */
export function checkOutputs({ out, npz }: Outputs): void {
  if (out === undefined && npz === undefined) {
    throw new ConfigError('--out, --npz: expected at least one of them, received neither.');
  }
  if (npz !== undefined && !npz.endsWith('.npz')) {
    throw new ConfigError(expected('--npz', 'a name ending in .npz', npz));
  }
  if (out !== undefined && !out.endsWith('.png') && statSync(out, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new ConfigError(`--out: expected a folder, or a name ending in .png, received the file '${out}'.`);
  }
}

/** All outputs asked for, as one. */
export function openSinks({ out, npz }: Outputs, layout: Layout): Sink {
  const sinks: Sink[] = [];
  if (out?.endsWith('.png')) sinks.push(grid(out, layout));
  else if (out !== undefined) sinks.push(folder(out, layout));
  if (npz !== undefined) sinks.push(archive(npz, layout));
  return {
    keeps: sinks.some((sink) => sink.keeps),
    async add(pixels, batch) {
      try {
        await Promise.all(sinks.map((sink) => sink.add(pixels, batch)));
      } finally {
        pixels.dispose();
      }
    },
    async finish() {
      for (const sink of sinks) await sink.finish();
    },
    dispose() {
      for (const sink of sinks) sink.dispose();
    },
  };
}

function grid(path: string, { side, columns }: Layout): Sink {
  const pictures: Uint8Array[] = [];
  return {
    keeps: false,
    async add(pixels) {
      pictures.push(...splitBytes(toBytes(pixels), side));
    },
    finish: () => savePng(path, byteGrid(pictures, { side, columns })),
    dispose() {},
  };
}

function folder(path: string, { side, num, first }: Layout): Sink {
  warnOfOthers(path, first, num);
  return {
    keeps: true,
    async add(pixels, { index }) {
      const save = (data: Uint8Array, i: number) =>
        savePng(join(path, pngName(index + i)), { width: side, height: side, data });
      await Promise.all(splitBytes(toBytes(pixels, { truncate: true }), side).map(save));
    },
    async finish() {},
    dispose() {},
  };
}

function archive(path: string, { side }: Layout): Sink {
  const spool = new Spool(path);
  const labels: number[] = [];
  return {
    keeps: false,
    async add(pixels, batch) {
      spool.append(toBytes(pixels, { truncate: true }));
      labels.push(...batch.labels);
    },
    async finish() {
      const arrays = new Map<string, NpyArray | NpyStream>();
      arrays.set('arr_0', { dtype: 'u8', shape: [labels.length, side, side, 3], pieces: spool.pieces() });
      arrays.set('arr_1', { dtype: 'i64', shape: [labels.length], data: BigInt64Array.from(labels, BigInt) });
      saveNpz(path, arrays);
    },
    dispose: () => spool.dispose(),
  };
}

function pngName(index: number): string {
  return `${String(index).padStart(6, '0')}.png`;
}

/** PNGs of an earlier run would be taken for samples of this one. */
function warnOfOthers(path: string, first: number, num: number): void {
  if (!existsSync(path)) return;
  const own = new Set(Array.from({ length: num }, (_, i) => pngName(first + i)));
  const others = readdirSync(path).filter((name) => name.endsWith('.png') && !own.has(name));
  if (others.length > 0) log.warn(`${path} holds ${others.length} other PNGs, '${others[0]}' for one: they stay.`);
}
