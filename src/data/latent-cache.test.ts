import { appendFileSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { full, Generator, memoryStats, randn, tensor, tidy } from '../tensor/index.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import {
  type CachePlan,
  LatentCache,
  LatentCacheWriter,
  LatentLoader,
  Loader,
  memorySource,
  type PictureSource,
} from './index.ts';

const SHAPE = [3, 2, 2] as [number, number, number];
const plan: CachePlan = {
  origin: { encoder: 'e', encoder_input_size: 8, image_size: 8, crop: 'center', exif: true, precision: 'fp32' },
  dtype: 'f32',
  shape: SHAPE,
  flips: true,
  pictures: 70,
  names: 'n',
  classes: ['a', 'b'],
};
const raw = randn([70, 2, ...SHAPE], { generator: new Generator(0) });
const statistics = new Map([
  ['mean', randn(SHAPE, { generator: new Generator(1) })],
  ['var', full(SHAPE, 2)],
]);

/** Writes what is missing; picture 5 could not be read. Stops after `shards` of them. */
function write(folder: string, { shards = 9, ...more }: Partial<CachePlan> & { shards?: number } = {}): void {
  const writer = new LatentCacheWriter(folder, { ...plan, ...more });
  for (let next = writer.nextShard(); next && shards > 0; next = writer.nextShard(), shards--) {
    const { from, to } = next;
    const kept = Array.from({ length: to - from }, (_, i) => from + i).filter((index) => index !== 5);
    const labels = kept.map((index) => index % 2);
    tidy(() => writer.write(raw.indexSelect(0, tensor(kept, { dtype: 'i64' })), labels, kept));
  }
  if (writer.nextShard() === undefined && !writer.complete) writer.finish(statistics);
}

const temporary = () => mkdtempSync(join(tmpdir(), 'rae-latents-'));

test('gives back what was written, mirrored or not, and frees what it mapped', () => {
  const folder = temporary();
  const { tensors } = memoryStats();
  write(folder);
  const cache = LatentCache.open(folder, { verify: true });
  tidy(() => {
    expect(cache.read([69, 0], [true, false]).toNumbers()).toEqual([
      ...raw.select(0, 69).select(0, 1).toNumbers(),
      ...raw.select(0, 0).select(0, 0).toNumbers(),
    ]);
  });
  expect([cache.size, cache.present, cache.label(5), cache.label(7)]).toEqual([70, 69, undefined, 1]);
  cache.dispose();
  expect(memoryStats().tensors).toBe(tensors);
});

test('in bfloat16 it is half as large and rounded', () => {
  const folder = temporary();
  write(folder, { dtype: 'bf16' });
  const cache = LatentCache.open(folder);
  tidy(() => {
    const want = raw.select(0, 3).select(0, 0).to('bf16').toNumbers();
    expect(cache.read([3]).toNumbers()).toEqual(want);
  });
  cache.dispose();
});

test('a cache that was left unfinished is refused, and completed to the same bytes', () => {
  const [whole, parted] = [temporary(), temporary()];
  write(whole);
  write(parted, { shards: 0 });
  expect(() => LatentCache.open(parted)).toThrow(/complete cache, received .* with 0 of 1 shards/);
  write(parted);
  for (const file of ['manifest.json', 'shard-00000.safetensors', 'stats.safetensors']) {
    expect(readFileSync(join(parted, file)).equals(readFileSync(join(whole, file)))).toBe(true);
  }
});

test.each([
  [{ flips: false }, /flips true to go on with, received false/],
  [{ pictures: 71 }, /pictures 70 to go on with, received 71/],
  [{ origin: { ...plan.origin, encoder: 'other' } }, /encoder 'e' to go on with, received 'other'/],
] as const)('a cache of another kind is not gone on with: %j', (more, message) => {
  const folder = temporary();
  write(folder);
  expect(() => write(folder, more)).toThrow(ConfigError);
  expect(() => write(folder, more)).toThrow(message);
});

test('damage is found: a missing or cut shard at once, a changed byte by its checksum', () => {
  const folder = temporary();
  write(folder);
  const shard = join(folder, 'shard-00000.safetensors');
  const bytes = readFileSync(shard);
  bytes[bytes.length - 400]! ^= 1;
  writeFileSync(shard, bytes);
  expect(() => LatentCache.open(folder, { verify: true })).toThrow(/checksum differs/);
  appendFileSync(shard, 'x');
  expect(() => LatentCache.open(folder)).toThrow(DataError);
  expect(() => LatentCache.open(temporary())).toThrow(ConfigError);
  expect(existsSync(shard)).toBe(true);
});

test('batches are those of the pictures: order, mirroring and replacement of what cannot be read, also after a resume', async () => {
  const folder = temporary();
  write(folder);
  const cache = LatentCache.open(folder);
  const mirrored: number[] = [];
  const pictures = memorySource({
    name: 'm',
    images: new Uint8Array(70 * 192),
    labels: Array.from({ length: 70 }, (_, i) => i % 2),
    side: 8,
    classes: ['a', 'b'],
  });
  const source: PictureSource = {
    ...pictures,
    async read(index, draws, into) {
      if (index === 5) throw new DataError('unreadable');
      if (draws.chance(0.5)) into[0] = 1; // as a source with `flip` draws first
    },
  };
  const options = { batch: 8, seed: 3 };
  const loader = new Loader(source, { ...options, onUnreadable: () => {} });
  const cached = new LatentLoader(
    { cache, indices: Array.from({ length: 70 }, (_, i) => i) },
    { ...options, flip: true },
  );
  for (let step = 0; step < 20; step++) {
    const { images, indices } = await loader.next();
    mirrored.splice(0, 8, ...Array.from(indices, (_, i) => images[i * 192]!));
    if (step === 9) cached.restore(JSON.parse(JSON.stringify(cached.state())));
    const batch = cached.next();
    tidy(() => {
      const want = Array.from(indices, (index, i) => raw.select(0, index).select(0, mirrored[i]!).toNumbers()).flat();
      expect(batch.read().toNumbers()).toEqual(want);
      expect(Array.from(batch.labels)).toEqual(Array.from(indices, (index) => index % 2));
    });
  }
  cache.dispose();
});
