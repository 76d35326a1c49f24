// Every parser of files, with well-formed files to damage. A new reader of files gets a row here (sets of pictures: set-parsers.ts).

import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/index.ts';
import { readLatentInfo } from '../../src/inference/latent-file.ts';
import { decodeImage } from '../../src/io/image.ts';
import { loadNpy, loadNpz, saveNpz } from '../../src/io/npz.ts';
import {
  loadSafetensors,
  readSafetensorsRaw,
  safetensorsLayout,
  saveSafetensorsRaw,
} from '../../src/io/safetensors.ts';
import { loadSharded } from '../../src/io/sharded.ts';
import type { RawTensor } from '../../src/io/storage-dtype.ts';
import { collectTensors, loadTorch, materialise, readTorch } from '../../src/io/torch-pickle/index.ts';
import { Encoder, mae } from '../../src/models/encoders/index.ts';
import { cutMetrics, readMetrics } from '../../src/runs/index.ts';
import { tidy } from '../../src/tensor/index.ts';
import { loadEncoder } from '../../src/weights/index.ts';
import { saveEncoder } from '../../src/weights/load-encoder.ts';
import type { Parser } from './fuzz.ts';
import { damaged } from './mutate.ts';
import { setParsers } from './set-parsers.ts';
import { cat, legacyFile, model, pickle, raw, six, zipAround, zipFile } from './torch-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-fuzz-'));
const MAX_SEED = 20_000; // a small file has as many headers as a large one, and its edits hit them more often

/** Files of the repository's fixtures, or of RAE_FIXTURES, with one of these endings. */
function fixtures(...endings: string[]): Uint8Array[] {
  const root = process.env.RAE_FIXTURES ?? join(import.meta.dirname, '..', 'golden', 'fixtures');
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.includes(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size <= MAX_SEED)
    .sort()
    .map((path) => new Uint8Array(readFileSync(path)));
}

/** What `write` leaves in the file it is given. */
function written(write: (path: string) => void): Uint8Array {
  const path = join(folder, 'written');
  write(path);
  return new Uint8Array(readFileSync(path));
}

const text = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

// ── tensors ───────────────────────────────────────────
const tensors = new Map<string, RawTensor>([
  ['weight', { dtype: 'f32', shape: [2, 3], data: new Uint8Array(six) }],
  ['bias', { dtype: 'f16', shape: [1], data: new Uint8Array(2) }],
]);
const safetensorsSeeds = [written((path) => saveSafetensorsRaw(path, tensors, { note: 'x' }))];
const { header, order } = safetensorsLayout(tensors, { note: 'x' });
const data = cat(...order.map((key) => tensors.get(key)!.data));

/** A header with its right length in front, and the data behind it. */
function aroundHeader(json: Uint8Array): Uint8Array {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return cat(length, json, data);
}

const readSafetensors = (path: string) =>
  tidy(() => {
    loadSafetensors(path, { widen: true });
    for (const tensor of loadSafetensors(path, { mmap: true, widen: true }).values()) tensor.toBytes();
    readSafetensorsRaw(path);
  });

const shardIndex = (path: string) =>
  tidy(() => {
    const shard = join(dirname(path), 'shard.safetensors');
    if (!statSync(shard, { throwIfNoEntry: false })) writeFileSync(shard, safetensorsSeeds[0]!);
    loadSharded(path);
  });

const readCheckpoint = (path: string) =>
  tidy(() => {
    for (const tensor of collectTensors(readTorch(path), { name: path }).values()) materialise(tensor, path);
    loadTorch(path, { widen: true });
    for (const tensor of loadTorch(path, { mmap: true, widen: true }).values())
      if (tensor.numel < 1e6) tensor.toBytes();
  });

const opcodes =
  '()]}.NRbtaeuslq\0h\0Q2010c\x85\x86\x87\x88\x89\x8f\x90\x91\x94K\x05X\x8a\x8b\x80\x02g0\nI1\n\x95J\xffU\x02';
const soup = fc.array(fc.constantFrom(...opcodes), { maxLength: 80 }).map((codes) => raw(codes.join('')));
const globals = [
  'ctorch\nFloatStorage\n',
  'ctorch._utils\n_rebuild_tensor_v2\n',
  'ccollections\nOrderedDict\n',
  'cos\nsystem\n',
];
const checkpoints = fixtures('.pt', '.pth').filter((bytes) => bytes.length > 0);
const isZip = (bytes: Uint8Array) => bytes[0] === 0x50;

// ── arrays ────────────────────────────────────────────
const arrays = new Map([
  ['arr_0', { dtype: 'u8', shape: [1, 1, 3], data: Uint8Array.of(1, 2, 3) }],
  ['b', { dtype: 'f64', shape: [2], data: Float64Array.of(1, 2) }],
] as const);
const npzSeed = written((path) => saveNpz(path, new Map(arrays)));
const npySeed = text(
  `${"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }".padEnd(127)}\n`,
);
const npy = cat(Buffer.from(npySeed.toString(), 'latin1'), six);

// ── the rest ──────────────────────────────────────────
const yaml = `stage_1: {target: stage1.RAE, params: {encoder_cls: Dinov2withNorm, encoder_input_size: 224, noise_tau: 0.8}}
stage_2: &a
  target: stage2.models.DDT.DiTwDDTHead
  params: {input_size: 16, patch_size: [1, 1], in_channels: 768, hidden_size: [384, 2048], depth: [12, 2], num_heads: [6, 16]}
misc: {latent_size: [768, 16, 16], num_classes: 1000, null_label: "\${misc.num_classes}"}
sampler: {mode: ODE, params: {sampling_method: euler, num_steps: 50}}
training: {epochs: 2, optimizer: {lr: 2e-4, betas: [0.9, 0.95]}}
`;
const metrics = '{"step":1,"loss":0.5}\n{"step":2,"loss":null,"note":"x"}\n';
const bmp = Buffer.concat([
  Buffer.from('424d4e0000000000000036000000280000000200000003000000010018000000000018000000', 'hex'),
  Buffer.alloc(40),
]);
const hfConfig = {
  num_attention_heads: 2,
  layer_norm_eps: 1e-6,
  vision_config: { num_attention_heads: 2 },
  image_mean: [0.5, 0.5, 0.5],
};

const spec = mae({ width: 8, depth: 1, heads: 1, hidden: 8, patch: 2, imageSize: 4 });
const encoderFile = written((path) => saveEncoder(path, new Encoder(spec).vit, spec));

/** Reads the bytes as config.json and preprocessor_config.json of a Hugging Face folder with sound weights. */
function encoderFolder(path: string): void {
  const hf = dirname(path);
  writeFileSync(join(hf, 'model.safetensors'), encoderFile);
  for (const name of ['config.json', 'preprocessor_config.json']) writeFileSync(join(hf, name), readFileSync(path));
  loadEncoder(hf).dispose();
}

export const parsers: readonly Parser[] = [
  {
    name: 'safetensors',
    inputs: fc.oneof(
      damaged([...safetensorsSeeds, ...fixtures('.safetensors')], {
        words: ['F8_E4M3', 'BF16', '"data_offsets":[0,0]'],
      }),
      damaged([header.subarray(8)], {
        words: ['"dtype":"F64"', '"shape":[0]', '"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},'],
      }).map(aroundHeader),
    ),
    read: readSafetensors,
  },
  {
    name: 'shards',
    inputs: damaged(
      [text({ metadata: { total_size: 4 }, weight_map: { weight: 'shard.safetensors', bias: 'shard.safetensors' } })],
      {
        words: ['../', 'shard.safetensors', '/etc/passwd', '"weight":'],
      },
    ),
    read: shardIndex,
  },
  {
    name: 'torch-zip',
    inputs: damaged([zipFile(model, { 0: six }), ...checkpoints.filter(isZip)]),
    read: readCheckpoint,
  },
  {
    name: 'torch-legacy',
    inputs: damaged([legacyFile(model, { 0: six }), ...checkpoints.filter((bytes) => !isZip(bytes))]),
    read: readCheckpoint,
  },
  {
    name: 'pickle',
    inputs: fc.oneof(soup, damaged([pickle(model)], { words: globals })).map((bytes) => zipAround(bytes, { 0: six })),
    read: readCheckpoint,
  },
  { name: 'npz', inputs: damaged([npzSeed, ...fixtures('.npz')]), read: loadNpz },
  {
    name: 'npy',
    inputs: damaged([npy, ...fixtures('.npy')], { words: ['|O', '<f8', '(1, ', 'True', '{'] }),
    read: loadNpy,
  },
  {
    name: 'deflate',
    inputs: damaged([deflateRawSync(npy), deflateRawSync(new Uint8Array(200_000))]).map(deflatedEntry),
    read: loadNpz,
  },
  { name: 'bmp', inputs: damaged([bmp, ...fixtures('.bmp')]), read: (path) => decodeImage(path) },
  {
    name: 'picture',
    inputs: damaged(fixtures('.png', '.jpg', '.jpeg', '.webp', '.gif', '.tiff').filter((bytes) => bytes.length > 0)),
    read: (path) => decodeImage(path),
  },
  {
    name: 'yaml',
    inputs: damaged([text(yaml), ...fixtures('.yaml').filter((bytes) => bytes.length > 0)], {
      words: [
        '&a ',
        '*a',
        '!!x ',
        '$' + '{stage_2}',
        '$' + '{misc.latent_size}',
        '<<: *a',
        '\t',
        '? ',
        '- ',
        '%YAML 1.2\n',
      ],
    }),
    read: (path) => loadConfig(path),
  },
  {
    name: 'metrics',
    inputs: damaged([text(metrics)], { words: ['\n', '{"step":3}\n'] }),
    read: (path) => {
      cutMetrics(path, readMetrics(path)[0]?.step ?? 0);
    },
  },
  {
    name: 'encoder-json',
    inputs: damaged([text(hfConfig)], {
      words: ['"num_attention_heads":', '"image_std":[1]', '"model_type":"dinov3_vit"'],
    }),
    read: encoderFolder,
  },
  {
    name: 'encoder',
    inputs: damaged([encoderFile], { words: ['"depth"', '"normalize"'] }),
    read: (path) => loadEncoder(path).dispose(),
  },
  {
    name: 'latents',
    inputs: damaged([
      written((path) =>
        saveSafetensorsRaw(path, tensors, { 'rae.latents': '{"normalized":true,"paths":["a.png"],"classes":[]}' }),
      ),
      npzSeed,
    ]),
    read: readLatentInfo,
  },
  ...setParsers,
];

/** An .npz with one deflated entry of these bytes; size and check sum are those of what they inflate to, where they do. */
function deflatedEntry(bytes: Uint8Array): Uint8Array {
  let inflated: Uint8Array = npy;
  try {
    inflated = inflateRawSync(bytes, { maxOutputLength: 1 << 20 });
  } catch {
    // Damaged beyond inflating: the parser is to say so.
  }
  const fields = (signature: number, central: boolean) => {
    const name = Buffer.from('a.npy');
    const record = Buffer.alloc(central ? 46 : 30);
    const at = central ? 2 : 0;
    record.writeUInt32LE(signature, 0);
    record.writeUInt16LE(8, 8 + at);
    record.writeUInt32LE(crc32(inflated), 14 + at);
    record.writeUInt32LE(bytes.length, 18 + at);
    record.writeUInt32LE(inflated.length, 22 + at);
    record.writeUInt16LE(name.length, 26 + at);
    return Buffer.concat([record, name]);
  };
  const local = Buffer.concat([fields(0x04034b50, false), bytes]);
  const central = fields(0x02014b50, true);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
