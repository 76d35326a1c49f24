// Inception and LPIPS through the command line, their weights random and given by files: every metric has its row and its figure, and
// a result says all that it takes to get it again.

import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { asText } from '../../src/cli/eval-report.ts';
import type { EvalResult } from '../../src/cli/eval-run.ts';
import { main } from '../../src/cli/main.ts';
import { loadNpz } from '../../src/io/npz.ts';
import { saveSafetensors } from '../../src/io/safetensors.ts';
import { Inception } from '../../src/models/inception.ts';
import { SqueezeNet } from '../../src/models/squeezenet.ts';
import { init, type Module } from '../../src/nn/index.ts';
import { Generator, noGrad, rand, type Tensor, tidy } from '../../src/tensor/index.ts';
import { captureOutput, err, out } from '../capture.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-eval-inception-'));
const at = (name: string) => join(folder, name);
const METRICS = 'fid,sfid,is,precision,recall,density,coverage,kid,rfid,psnr,ssim,lpips';

captureOutput();
beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', at('cache'));
});

/** Writes a network whose activations neither vanish nor grow, with what else `more` makes. */
function saveRandom(file: string, network: Module, more: () => [string, Tensor][] = () => []): void {
  const generator = new Generator(0);
  tidy(() => {
    const state = network.stateDict();
    noGrad(() => {
      for (const [key, x] of state) {
        const fanIn = x.shape.slice(1).reduce((product, size) => product * size, 1);
        if (x.shape.length > 1) init.normal_(x, { std: Math.sqrt(2 / fanIn), generator });
        else if (key.endsWith('bias')) init.normal_(x, { std: 0.05, generator });
      }
    });
    saveSafetensors(at(file), new Map([...state, ...more()]));
  });
  network.dispose();
}

beforeAll(() => {
  saveRandom('inception.safetensors', new Inception());
  const squeeze = new SqueezeNet();
  const heads = squeeze.channels.map((C, k): [string, Tensor] => [`lin${k}.model.1.weight`, rand([1, C, 1, 1])]);
  saveRandom('lpips.safetensors', squeeze, () => heads);
});

const evaluation = (...more: string[]) =>
  main(['eval', '--extractor', at('inception.safetensors'), '--workers', '1', '--json', ...more]);

test('a model is judged by every metric, and the result says all that it takes to get it again', async () => {
  const how = ['--model', 'embedded', '--num', '8', '--steps', '3', '--guidance', 'cfg:1.5@0.1-0.9', '--seed', '5'];
  const against = ['--reference', 'embedded', '--lpips', at('lpips.safetensors'), '--metrics', METRICS];
  expect(await evaluation(...how, ...against), err).toBe(0);
  const result = JSON.parse(out) as EvalResult;

  const names = 'FID sFID IS,IS (torch-fidelity) KID precision recall density coverage rFID PSNR dB,SSIM,LPIPS';
  expect(result.scores.map(({ name }) => name).join(' ')).toBe(names.replaceAll(',', ' '));
  for (const { name, value, n } of result.scores) {
    expect(Number.isFinite(value), name).toBe(true);
    expect(n, name).toBe(8);
  }
  const figure = (name: string) => result.scores.find((score) => score.name === name)!.value;
  expect(figure('FID')).toBeGreaterThan(0);
  expect(figure('LPIPS')).toBeGreaterThan(0);
  expect(figure('rFID')).not.toBe(figure('FID'));

  const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
  expect(result).toMatchObject({
    extractor: {
      name: 'inception-v3-compat',
      layer: '2048',
      file: at('inception.safetensors'),
      checksum: sha256,
      resize: 'bilinear as TensorFlow 1, to 299 x 299',
    },
    lpips: { file: at('lpips.safetensors'), checksum: sha256 },
    samples: {
      sampler: { method: 'euler', steps: 3 },
      guidance: { cfg: { scale: 1.5, t_min: 0.1, t_max: 0.9 } },
      seed: 5,
      precision: 'fp32',
      weights: { checksum: sha256 },
      digest: sha256,
    },
    pairs: { kind: 'reconstructions', count: 8 },
    reference: { path: 'embedded', count: 8, digest: sha256 },
    precision: 'fp32',
  });
  expect(result.command).toMatch(
    /^rae eval --model embedded --extractor .* --seed 5 --steps 3 --guidance cfg:1.5@0.1-0.9 .* --num 8$/,
  );

  const text = asText(result);
  for (const { name } of result.scores) expect(text).toMatch(new RegExp(`^${name.replace(/[()]/g, '.')} `, 'm'));
  expect(text).toMatch(/2 euler steps.*1\.5.*0\.1.*0\.9.*seed 5/);
}, 120_000);

test("Inception's statistics stand for the pictures, with the file and its checksum in the result", async () => {
  const packing = ['eval', 'pack', '--input', 'embedded', '--num', '8', '--size', '32', '--out', at('pictures.npz')];
  expect(await main(packing), err).toBe(0);
  const layer = ['--layer', '64']; // the eigenvalues of 2048 x 2048 take seconds
  const stats = ['stats', '--input', at('pictures.npz'), '--out', at('stats.npz'), '--workers', '1', ...layer];
  expect(await main(['eval', ...stats, '--extractor', at('inception.safetensors')]), err).toBe(0);
  const shapes = [...loadNpz(at('stats.npz'))].map(([key, { shape }]) => `${key} ${shape.length} ${shape[0]}`);
  expect(shapes).toEqual([
    'mu 1 64',
    'sigma 2 64',
    'mu_s 1 2023',
    'sigma_s 2 2023',
    expect.stringMatching('info'),
    'arr_0 4 8',
  ]);

  const sets = ['--samples', at('pictures.npz'), '--reference', at('stats.npz'), '--metrics', 'fid', ...layer];
  expect(await evaluation(...sets, '--out', at('result.json')), err).toBe(0);
  const result = JSON.parse(readFileSync(at('result.json'), 'utf8')) as EvalResult;
  expect(result.scores).toMatchObject([{ name: 'FID (64)', n: 8, reference: 8 }]);
  expect(result.scores[0]!.value).toBeLessThan(1e-3); // mu is float32
  expect(result.reference).toMatchObject({
    file: at('stats.npz'),
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
    info: { count: 8, extractor: { name: 'inception-v3-compat', layer: '64' } },
  });
  expect(result.warnings.join()).toMatch(/8 pictures of the samples for 64 features: their covariance is singular/);
}, 120_000);
