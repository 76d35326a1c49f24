import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { captureOutput, err, forgetOutput, out } from '../../test/capture.ts';
import { main } from '../cli/main.ts';
import { syntheticImage } from '../data/index.ts';
import { savePng } from '../io/image.ts';
import { loadNpz, saveNpz } from '../io/npz.ts';
import { loadExtractor } from './load-extractor.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-eval-'));
const at = (name: string) => join(folder, name);
const EMBEDDED_FILE = fileURLToPath(new URL('../../assets/encoder.safetensors', import.meta.url));
const SIDE = 32;
const COUNT = 72;

captureOutput();
beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', at('cache'));
});

const drawn = (seed: number, index: number) => syntheticImage({ seed, index, size: SIDE });
const some = (seed: number) => Array.from({ length: COUNT }, (_, index) => drawn(seed, index));
const pack = (name: string, pictures: readonly Uint8Array[], dtype: 'u8' | 'f32' = 'u8') => {
  const shape = [pictures.length, SIDE, SIDE, 3];
  const bytes = Buffer.concat(pictures);
  saveNpz(
    at(name),
    new Map([
      ['arr_0', dtype === 'u8' ? { dtype, shape, data: bytes } : { dtype, shape, data: Float32Array.from(bytes) }],
    ]),
  );
};

beforeAll(async () => {
  pack('a.npz', some(0));
  pack('b.npz', some(1));
  await Promise.all(
    some(1).map((data, i) => {
      const name = join(at('classes'), i % 2 ? 'odd' : 'even', `${String(i).padStart(3, '0')}.png`);
      return savePng(name, { width: SIDE, height: SIDE, data });
    }),
  );
});

/** Runs the verb with the shipped encoder in this process; the result of --json. */
async function evaluated(...args: string[]) {
  const code = await main(['eval', ...args, '--extractor', 'embedded', '--workers', '1', '--json']);
  expect(err.replace(/^warning.*\n/gm, '')).toBe('');
  expect(code).toBe(0);
  return JSON.parse(out);
}

const figure = (result: { scores: { metric: string; value: number }[] }, metric: string) =>
  result.scores.find((score) => score.metric === metric)!.value;

test('a result says what it was computed from and how to get it again', async () => {
  const result = await evaluated(
    '--samples',
    at('a.npz'),
    '--reference',
    at('b.npz'),
    '--metrics',
    'fid,kid,coverage,psnr',
  );
  expect(result.scores.map(({ metric, name, n }: Record<string, unknown>) => [metric, name, n])).toEqual([
    ['fid', 'FD-vit_64', COUNT],
    ['kid', 'KD-vit_64', COUNT],
    ['coverage', 'coverage', COUNT],
    ['psnr', 'PSNR dB', COUNT],
  ]);
  expect(result.extractor).toMatchObject({
    name: 'vit_64',
    layer: 'mean',
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(result.command).toMatch(/^rae eval --samples .*a\.npz .*--metrics fid,kid,coverage,psnr$/);
  expect(result.scores[3].values).toHaveLength(COUNT);
  expect(figure(result, 'fid')).toBeGreaterThan(0.05);
});

test('statistics of pictures stand for the pictures, and say what made them', async () => {
  expect(
    await main([
      'eval',
      'stats',
      '--input',
      at('b.npz'),
      '--extractor',
      'embedded',
      '--out',
      at('stats.npz'),
      '--pictures',
      '30',
      '--workers',
      '1',
    ]),
  ).toBe(0);
  const arrays = loadNpz(at('stats.npz'));
  expect([...arrays].map(([key, { dtype }]) => [key, dtype])).toEqual([
    ['mu', 'f32'],
    ['sigma', 'f64'],
    ['info', 'u8'],
    ['arr_0', 'u8'],
  ]);
  expect(arrays.get('arr_0')!.shape).toEqual([30, SIDE, SIDE, 3]);
  forgetOutput();
  const by = async (reference: string) => {
    forgetOutput();
    return figure(await evaluated('--samples', at('a.npz'), '--reference', reference, '--metrics', 'fid'), 'fid');
  };
  expect(await by(at('stats.npz'))).toBeCloseTo(await by(at('b.npz')), 5); // mu is float32
});

test('a reference made with other weights, or of another width, is refused', async () => {
  const stats = loadNpz(at('stats.npz'));
  const info = JSON.parse(new TextDecoder().decode(stats.get('info')!.data as Uint8Array));
  const text = new TextEncoder().encode(
    JSON.stringify({ ...info, extractor: { ...info.extractor, checksum: '0'.repeat(64) } }),
  );
  saveNpz(at('other.npz'), new Map([...stats, ['info', { dtype: 'u8', shape: [text.length], data: text }]]));
  const args = ['--samples', at('a.npz'), '--reference', at('other.npz'), '--metrics', 'fid'];
  expect(await main(['eval', ...args, '--extractor', 'embedded', '--workers', '1'])).toBe(2);
  expect(err).toMatch(/expected a reference made with vit_64, weights .* received .*000000.*--force/);
  forgetOutput();
  expect((await evaluated(...args, '--force')).warnings[0]).toMatch(/was made with vit_64 with weights 0000/);

  const wide = { dtype: 'f64' as const, shape: [3], data: new Float64Array(3) };
  saveNpz(
    at('wide.npz'),
    new Map([
      ['mu', wide],
      ['sigma', { ...wide, shape: [3, 3], data: new Float64Array(9) }],
    ]),
  );
  forgetOutput();
  expect(
    await main([
      'eval',
      '--samples',
      at('a.npz'),
      '--reference',
      at('wide.npz'),
      '--metrics',
      'fid',
      '--extractor',
      'embedded',
    ]),
  ).toBe(2);
  expect(err).toMatch(/expected moments of 64 features.*received 3.*rae eval stats/);
});

test('what cannot be meant is said: equal sets, single colours, unscaled bytes, too few pictures', async () => {
  const same = await evaluated('--samples', at('a.npz'), '--reference', at('a.npz'), '--metrics', 'fid');
  expect(same.warnings.join()).toMatch(/the samples are their reference/);
  pack('odd.npz', [
    new Uint8Array(SIDE * SIDE * 3).fill(7),
    ...some(0)
      .slice(0, 9)
      .map((picture) => picture.map((x) => x >> 7)),
  ]);
  forgetOutput();
  const odd = (
    await evaluated('--samples', at('odd.npz'), '--reference', at('a.npz'), '--metrics', 'fid')
  ).warnings.join('\n');
  expect(odd).toMatch(/1 pictures are one single colour: odd\.npz\[0\]/);
  expect(odd).toMatch(/9 pictures hold nothing but 0 and 1/);
  expect(odd).toMatch(/10 pictures of the samples for 64 features: their covariance is singular/);
});

test('pictures of floats are refused with what to do', async () => {
  pack('floats.npz', some(0).slice(0, 2), 'f32');
  expect(
    await main(['eval', '--samples', at('floats.npz'), '--reference', at('a.npz'), '--extractor', 'embedded']),
  ).toBe(1);
  expect(err).toMatch(/arr_0: expected uint8 \[N, H, W, 3\], received 'f32 .*bytes from 0 to 255/);
});

test('a metric without what it needs is refused with what that is', async () => {
  const refusal = async (...args: string[]) => {
    forgetOutput();
    expect(await main(['eval', '--samples', at('a.npz'), ...args])).toBe(2);
    return err;
  };
  expect(await refusal('--reference', at('b.npz'), '--metrics', 'fid')).toMatch(/fid: expected an --extractor/);
  expect(await refusal('--metrics', 'fid', '--extractor', 'embedded')).toMatch(/fid: expected a --reference/);
  expect(await refusal('--metrics', 'is', '--extractor', 'embedded')).toMatch(/is: expected Inception/);
  expect(await refusal('--metrics', 'fdi')).toMatch(/Did you mean 'fid'/);
  expect(await refusal('--metrics', 'knn', '--extractor', 'embedded', '--reference', at('classes'))).toMatch(
    /knn: .*--train/,
  );
});

test('probe and neighbours learn from one labelled set and are tried on another', async () => {
  const result = await evaluated('--reference', at('classes'), '--train', at('classes'), '--metrics', 'probe,knn,rank');
  expect(figure(result, 'probe')).toBeGreaterThan(0.8); // the set it learnt from
  expect(figure(result, 'rank')).toBeGreaterThan(1);
});

test('a folder is packed in the order of its classes, with labels', async () => {
  expect(await main(['eval', 'pack', '--input', at('classes'), '--size', '32', '--out', at('packed.npz')])).toBe(0);
  const arrays = loadNpz(at('packed.npz'));
  expect(arrays.get('arr_0')!.shape).toEqual([COUNT, SIDE, SIDE, 3]);
  expect(Buffer.compare((arrays.get('arr_0')!.data as Uint8Array).subarray(0, 3072), Buffer.from(drawn(1, 0)))).toBe(0);
  expect(Array.from(arrays.get('arr_1')!.data as BigInt64Array, Number).filter((label) => label === 1)).toHaveLength(
    COUNT / 2,
  );
});

test('two results are compared side by side, with what was measured differently', async () => {
  const common = ['--reference', at('b.npz'), '--metrics', 'fid'];
  await evaluated('--samples', at('a.npz'), ...common, '--out', at('a.json'));
  forgetOutput();
  await evaluated('--samples', at('b.npz'), ...common, '--out', at('b.json'));
  forgetOutput();
  expect(await main(['eval', 'compare', at('a.json'), at('b.json'), '--json'])).toBe(0);
  const { rows, differences } = JSON.parse(out);
  const [a, b] = ['a', 'b'].map((name) => figure(JSON.parse(readFileSync(at(`${name}.json`), 'utf8')), 'fid'));
  expect(rows).toEqual([{ metric: 'fid', name: 'FD-vit_64', a, b, difference: b! - a! }]);
  expect(differences).toEqual([]);
});

test('a model is judged by its samples and by its reconstructions', async () => {
  const how = ['--model', 'embedded', '--reference', 'embedded', '--num', '16', '--steps', '3'];
  const result = await evaluated(...how, '--metrics', 'fid,rfid,psnr');
  expect(result.samples).toMatchObject({ kind: 'samples', seed: 0, labels: 'equal', sampler: { steps: 3 }, count: 16 });
  expect(result.pairs).toMatchObject({ kind: 'reconstructions', count: 16 });
  expect(figure(result, 'psnr')).toBeGreaterThan(20);
  expect(figure(result, 'rfid')).toBeLessThan(figure(result, 'fid'));
});

test('samples and reconstructions of a model score the same to the bit for any --batch', async () => {
  const how = ['--model', 'embedded', '--reference', 'embedded', '--num', '9', '--steps', '2'];
  const scores = async (batch: string) => {
    forgetOutput();
    return (await evaluated(...how, '--metrics', 'fid,kid,rfid,psnr,ssim', '--batch', batch)).scores;
  };
  const expected = await scores('64');
  for (const batch of ['1', '7']) expect(await scores(batch), batch).toEqual(expected);
});

test("an encoder given by a run sees pictures of the run's size, and by its file those of its training", () => {
  const config = readFileSync(new URL('../../assets/config.yaml', import.meta.url), 'utf8');
  writeFileSync(at('larger.yaml'), config.replace('encoder_input_size: 32', 'encoder_input_size: 64'));
  const resizes = [at('larger.yaml'), 'embedded', EMBEDDED_FILE].map((path) => {
    const { resize, dispose } = loadExtractor(path);
    dispose();
    return resize.split(', to ')[1];
  });
  expect(resizes).toEqual(['64 x 64', '32 x 32', '32 x 32']);
});

test('intervals hold the value and stay above what a metric can be', async () => {
  const how = ['--reference', at('b.npz'), '--metrics', 'fid,precision,recall', '--interval', 'subset'];
  const { scores } = await evaluated('--samples', at('odd.npz'), ...how);
  expect(scores.map(({ metric }: { metric: string }) => metric)).toEqual(['fid', 'precision', 'recall']);
  for (const { metric, value, interval } of scores) {
    expect(interval.low, metric).toBeGreaterThanOrEqual(0);
    expect(interval.low, metric).toBeLessThanOrEqual(value);
    expect(interval.high, metric).toBeGreaterThanOrEqual(value);
  }
});
