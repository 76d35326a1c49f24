// Where sampled pictures go, as they come: a grid, a folder of PNGs by index, an npz. Bytes are rounded in a grid and cut off elsewhere,
// as the reference's sample.py and sample_ddp.py do (spec 13.1, 13.2). An npz and a folder have a ledger, so that they survive a kill.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { LabelOf } from '../inference/labels.ts';
import type { Ledger } from '../inference/ledger.ts';
import { byteGrid, splitBytes, toBytes } from '../inference/pixels.ts';
import { Spool } from '../inference/spool.ts';
import { savePng } from '../io/image.ts';
import type { NpyArray } from '../io/npy.ts';
import { type NpyStream, saveNpz } from '../io/npz.ts';
import type { Tensor } from '../tensor/index.ts';
import { removeTemporaries } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { log } from '../util/log.ts';

export interface Sink {
  /** Takes pictures [n, 3, H, W] in [0, 1]; `index` is the number of the first. */
  add(pixels: Tensor, index: number): Promise<void>;
  /** Writes what can only be written at the end. */
  finish(): Promise<void>;
  /** Removes what is temporary. Call it in any case. */
  dispose(): void;
}

export type Rounding = 'round' | 'truncate';

interface Outputs {
  out?: string;
  npz?: string;
  rounding?: Rounding;
}

interface Layout {
  side: number;
  columns: number;
  num: number;
  first: number;
  labelOf: LabelOf;
}

/** Refuses names that cannot be meant, before anything is loaded. */
export function checkOutputs({ out, npz }: Outputs): void {
  if (out === undefined && npz === undefined) {
    throw new ConfigError('--out, --npz: expected at least one of them, received neither.');
  }
  if (npz !== undefined && !npz.endsWith('.npz')) {
    throw new ConfigError(expected('--npz', 'a name ending in .npz', npz));
  }
  if (out !== undefined && !isGrid(out) && statSync(out, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new ConfigError(`--out: expected a folder, or a name ending in .png, received the file '${out}'.`);
  }
}

/** What a ledger is kept beside: the npz, else the folder; a grid alone has none. */
export function ledgerTarget({ out, npz }: Outputs): { flag: string; target: string } | undefined {
  if (npz !== undefined) return { flag: '--npz', target: npz };
  return out === undefined || isGrid(out) ? undefined : { flag: '--out', target: out };
}

/** All outputs asked for, as one. Pictures that `ledger` holds already are not added again. */
export function openSinks({ out, npz, rounding }: Outputs, layout: Layout, ledger: Ledger | undefined): Sink {
  const each = layout.side ** 2 * 3;
  const spool = (path: string, name: string) => ledger?.spool(name, each) ?? new Spool(path);
  const sinks: Sink[] = [];
  if (out !== undefined && isGrid(out)) sinks.push(grid(out, layout, spool(out, 'grid'), rounding ?? 'round'));
  else if (out !== undefined) sinks.push(folder(out, layout, rounding ?? 'truncate'));
  if (npz !== undefined) sinks.push(archive(npz, layout, spool(npz, 'pictures'), rounding ?? 'truncate'));
  return {
    async add(pixels, index) {
      const end = index + pixels.size(0);
      try {
        await Promise.all(sinks.map((sink) => sink.add(pixels, index)));
      } finally {
        pixels.dispose();
      }
      ledger?.commit(end - layout.first);
    },
    async finish() {
      for (const sink of sinks) await sink.finish();
      ledger?.finish();
    },
    dispose() {
      for (const sink of sinks) sink.dispose();
      ledger?.close();
    },
  };
}

function grid(path: string, { side, columns }: Layout, spool: Spool, rounding: Rounding): Sink {
  return {
    async add(pixels) {
      spool.append(toBytes(pixels, { truncate: rounding === 'truncate' }));
    },
    finish: () => savePng(path, byteGrid([...spool.pieces(side ** 2 * 3)], { side, columns })),
    dispose: () => spool.dispose(),
  };
}

function folder(path: string, { side, num, first }: Layout, rounding: Rounding): Sink {
  prepareFolder(path, first, num);
  return {
    async add(pixels, index) {
      const save = (data: Uint8Array, i: number) =>
        savePng(join(path, pngName(index + i)), { width: side, height: side, data });
      await Promise.all(splitBytes(toBytes(pixels, { truncate: rounding === 'truncate' }), side).map(save));
    },
    async finish() {},
    dispose() {},
  };
}

function archive(path: string, { side, num, first, labelOf }: Layout, spool: Spool, rounding: Rounding): Sink {
  return {
    async add(pixels) {
      spool.append(toBytes(pixels, { truncate: rounding === 'truncate' }));
    },
    async finish() {
      const labels = BigInt64Array.from({ length: num }, (_, i) => BigInt(labelOf(first + i)));
      const arrays = new Map<string, NpyArray | NpyStream>();
      arrays.set('arr_0', { dtype: 'u8', shape: [num, side, side, 3], pieces: spool.pieces() });
      arrays.set('arr_1', { dtype: 'i64', shape: [num], data: labels });
      saveNpz(path, arrays);
    },
    dispose: () => spool.dispose(),
  };
}

function isGrid(out: string): boolean {
  return out.endsWith('.png');
}

function pngName(index: number): string {
  return `${String(index).padStart(6, '0')}.png`;
}

/** Removes what a killed process left; PNGs of an earlier run would be taken for samples of this one. */
function prepareFolder(path: string, first: number, num: number): void {
  if (!existsSync(path)) return;
  removeTemporaries(path);
  const own = new Set(Array.from({ length: num }, (_, i) => pngName(first + i)));
  const others = readdirSync(path).filter((name) => name.endsWith('.png') && !own.has(name));
  if (others.length > 0) log.warn(`${path} holds ${others.length} other PNGs, '${others[0]}' for one: they stay.`);
}
