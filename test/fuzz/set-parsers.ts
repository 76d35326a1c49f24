// Parsers of sets of pictures (tar, zip, parquet, lists, names of classes) and of JSON beside weights (diffusers, indices in the hub's
// cache). What they keep in the user cache goes to a folder of this process and is removed after every input.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { classLabels, classNames } from '../../src/data/class-labels.ts';
import { listSet } from '../../src/data/list-set.ts';
import { parquetSet } from '../../src/data/parquet-set.ts';
import type { PictureSet } from '../../src/data/picture-set.ts';
import { tarSet } from '../../src/data/tar-set.ts';
import { zipSet } from '../../src/data/zip-set.ts';
import { diffusersParts } from '../../src/inference/diffusers-folder.ts';
import { log } from '../../src/util/log.ts';
import { inCache } from '../../src/weights/resolve.ts';
import type { Parser } from './fuzz.ts';
import { damaged } from './mutate.ts';

const cache = mkdtempSync(join(tmpdir(), 'rae-fuzz-cache-'));
process.on('exit', () => rmSync(cache, { recursive: true, force: true }));
const text = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

/** Opens a set of one file and reads its pictures' bytes. */
const readSet = (open: (files: readonly string[]) => Promise<PictureSet>) => async (path: string) => {
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = cache;
  const { quiet } = log;
  log.quiet = true;
  try {
    for (const again of [false, true]) {
      const set = await open([path]); // the second time from the cache
      for (let i = 0; i < Math.min(set.labels.length, 20); i++) if (again) await set.encoded(i);
    }
  } finally {
    log.quiet = quiet;
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(join(cache, 'rae-ts'), { recursive: true, force: true });
  }
};

// ── tar ───────────────────────────────────────────────
const BLOCK = 512;

function tarEntry(name: string, type: string, content: string): Uint8Array {
  const bytes = Buffer.alloc(BLOCK * (1 + Math.ceil(content.length / BLOCK)));
  bytes.write(name, 0, 100, 'latin1');
  bytes.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  bytes.write(`${type}ustar\x0000`, 156, 'latin1');
  bytes.write(content, BLOCK, 'latin1');
  return bytes;
}

/** Every header with the sum of its bytes, so that damage to other fields is looked at. */
function withSums(archive: Uint8Array): Uint8Array {
  const bytes = Buffer.from(archive);
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    if (bytes.toString('latin1', at + 257, at + 262) !== 'ustar') continue;
    bytes.fill(0x20, at + 148, at + 156);
    const sum = bytes.subarray(at, at + BLOCK).reduce((total, byte) => total + byte, 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
  }
  return bytes;
}

const tar = withSums(
  Buffer.concat([
    tarEntry('shard/0.png', '0', 'not looked into'),
    tarEntry('shard/0.cls', '0', '1\n'),
    tarEntry('././@LongLink', 'L', `shard/${'long'.repeat(30)}.jpg\0`),
    tarEntry('cut', '0', 'x'),
    tarEntry('pax', 'x', '20 path=shard/2.webp\n11 size=700\n'),
    tarEntry('cut', '0', 'y'.repeat(700)),
    tarEntry('shard/2.json', '0', '{"label": 0, "caption": "x"}'),
    new Uint8Array(2 * BLOCK),
  ]),
);

// ── lists and JSON ────────────────────────────────────
const list = '{"file_name": "a/b.jpg", "label": 3}\n{"file_name": "c.jpg", "label": 0}\n';
const diffusers = {
  _class_name: 'AutoencoderRAE',
  encoder_type: 'dinov2',
  encoder_hidden_size: 768,
  encoder_patch_size: 14,
  encoder_num_hidden_layers: 12,
  encoder_input_size: 224,
  decoder_hidden_size: 512,
  decoder_num_hidden_layers: 8,
  decoder_num_attention_heads: 16,
  decoder_intermediate_size: 2048,
  patch_size: 16,
  encoder_norm_mean: [0.5, 0.5, 0.5],
  noise_tau: 0.8,
  reshape_to_2d: true,
  latents_mean: null,
};

/** Reads the bytes as config.json of an AutoencoderRAE folder. */
function readDiffusers(path: string): void {
  const folder = join(dirname(path), 'diffusers-folder');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), readFileSync(path));
  writeFileSync(join(folder, 'diffusion_pytorch_model.safetensors'), '');
  diffusersParts(folder);
}

/** Puts the bytes as an index of shards into a hub's cache, beside one of its shards, and asks whether the repository is complete. */
function readCachedIndex(path: string): string | undefined {
  const hub = join(dirname(path), 'hub-cache');
  const commit = 'a'.repeat(40);
  const snapshot = join(hub, 'models--a--b', 'snapshots', commit);
  mkdirSync(snapshot, { recursive: true });
  writeFileSync(join(snapshot, 'shard-1.safetensors'), '');
  const index = join(snapshot, 'model.safetensors.index.json');
  rmSync(index, { force: true });
  symlinkSync(path, index);
  const settings = { endpoint: '', cache: hub, token: undefined, offline: true, retryMs: 0 };
  return inCache(settings, { repo: 'a/b', revision: commit, path: '' });
}

const png = new Uint8Array(80).fill(7);

export const setParsers: readonly Parser[] = [
  {
    name: 'tar',
    inputs: fc.oneof(
      damaged([tar], { words: ['path=', 'size=', '\x80\xff\xff\xff\xff\xff\xff\xff', '.cls', '99 '] }).map(withSums),
      damaged([tar]),
    ),
    read: readSet(tarSet),
  },
  {
    name: 'picture-zip',
    inputs: damaged([zipSync({ 'a/1.png': png, 'b/2.png': [png, { level: 0 }], 'b/c.txt': png })]),
    read: readSet(zipSet),
  },
  {
    name: 'parquet',
    inputs: damaged([new Uint8Array(readFileSync(join(import.meta.dirname, '..', 'data', 'pictures.parquet')))]),
    read: readSet(parquetSet),
  },
  {
    name: 'list',
    inputs: damaged([text(list)], { words: ['"class": "hat"', '"path":', '\n', '{"image": "x"}'] }),
    read: async (path) => {
      const { labels, encoded } = await listSet([path]);
      for (let i = 0; i < labels.length; i++) encoded(i);
    },
  },
  {
    name: 'classes',
    inputs: damaged([text(['hat', 'shoe', 'shirt'])], { words: ['"hat",', '{"a":1}', '[1]'] }),
    read: (path) => {
      const names = classNames(path);
      classLabels([0, 1], { where: path, names });
      classLabels(['hat', 'shoe'], { where: path, names });
    },
  },
  {
    name: 'diffusers',
    inputs: damaged([text(diffusers)], {
      words: ['"siglip2"', '"mae"', '"scaling_factor": 2,', '"AutoencoderRAE"', '"patch_size": 1e9', '0.5'],
    }),
    read: readDiffusers,
  },
  {
    name: 'cached-index',
    inputs: damaged([text({ metadata: {}, weight_map: { a: 'shard-1.safetensors', b: 'shard-1.safetensors' } })], {
      words: ['../../', 'shard-2.safetensors', '\\u0000', '[1]', '"weight_map"'],
    }),
    read: readCachedIndex,
  },
];
