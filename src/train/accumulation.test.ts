import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type RunConfigInput, resolveConfig } from '../config/index.ts';
import { syntheticSource } from '../data/index.ts';
import { loadSafetensors } from '../io/safetensors.ts';
import { lpipsFromWeights } from '../losses/lpips-weights.ts';
import { Decoder } from '../models/decoder.ts';
import { Encoder } from '../models/encoders/index.ts';
import { Rae } from '../models/rae.ts';
import { SqueezeNet } from '../models/squeezenet.ts';
import { latestCheckpoint } from '../runs/index.ts';
import { dispose, Generator, manualSeed, rand, type Tensor } from '../tensor/index.ts';
import { log } from '../util/log.ts';
import { trainRae } from './rae.ts';
import { openLoader } from './sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-accumulation-'));
afterAll(() => rmSync(folder, { recursive: true }));
log.quiet = true;

const BATCH = 64;
const GAME = { adversarial: true };

/** What a run has after one step of 64 pictures in `parts`: the first moments of both optimisers are a tenth of the gradients. */
async function oneStep(parts: number, { adversarial = false } = {}) {
  manualSeed(0);
  const generator = new Generator(1);
  const vit = { width: 32, depth: 2, heads: 2, hidden: 64, patch: 8, grid: [4, 4] as const };
  const encoder = new Encoder({ family: 'vit', vit, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
  for (const p of encoder.parameters()) p.detach().uniform_(-0.2, 0.2, { generator });
  const sizes = { channels: 32, width: 32, depth: 1, heads: 2, hidden: 64, patch: 8, tokens: 16 };
  const rae = new Rae({ encoder, decoder: new Decoder({ ...sizes, generator }), encoderInputSize: 32, noiseTau: 0.5 });
  const trunk = new SqueezeNet();
  const heads = trunk.channels.map((C, i) => [`lin${i}.weight`, rand([1, C, 1, 1], { generator })] as const);
  const starts = { disc_upd_start_step: 0, disc_start_step: 0 };
  const config = resolveConfig({
    training: {
      steps: 1,
      global_batch_size: BATCH,
      grad_accum_steps: parts,
      clip_grad: 0,
      optimizer: { lr: 1e-6, betas: [0.9, 0.95] },
    },
    data: { image_size: 32, synthetic: {}, crop: 'center' },
    ...(adversarial && { gan: { disc: { arch: { ks: 3 } }, loss: starts } }),
  } as RunConfigInput);
  const out = join(folder, `${parts}-${adversarial}`);
  await trainRae({
    config,
    rae,
    lpips: lpipsFromWeights(new Map([...trunk.stateDict(), ...heads])),
    trunk: adversarial ? encoder : undefined,
    loader: openLoader(config, syntheticSource({ size: BATCH })),
    heldOut: syntheticSource({ size: 8, part: 'heldout' }),
    out,
    resume: false,
    log,
  });
  const at = latestCheckpoint(out)!.path;
  const [players, moments] = [
    ['optimizer', ...(adversarial ? ['discriminator_optimizer'] : [])],
    [] as [string, number[]][],
  ];
  for (const player of players) {
    const state = loadSafetensors(join(at, `${player}.safetensors`));
    for (const [key, value] of state)
      if (key.includes('exp_avg') && !key.includes('exp_avg_sq')) moments.push([key, value.toNumbers()]);
    dispose(state);
  }
  const vectors = adversarial ? spectral(loadSafetensors(join(at, 'discriminator.safetensors'))) : [];
  return { moments: new Map(moments), vectors };
}

function spectral(state: ReadonlyMap<string, Tensor>): number[][] {
  const vectors = [...state].flatMap(([key, value]) => (/_[uv]$/.test(key) ? [value.toNumbers()] : []));
  dispose(state);
  return vectors;
}

/** Attention's key biases and convolution biases before a normalisation have no gradient but rounding. */
const NO_GRADIENT = /key\.bias|(heads\.\d+\.0\.0|heads\.\d+\.1\.fn\.0)\.bias/;

function largestError(
  a: ReadonlyMap<string, number[]>,
  b: ReadonlyMap<string, number[]>,
): [error: number, key: string] {
  expect([...b.keys()]).toEqual([...a.keys()]);
  const errors = [...a].flatMap(([key, want]): [number, string][] => {
    if (NO_GRADIENT.test(key)) return [];
    const got = b.get(key)!;
    const off = Math.hypot(...want.map((x, i) => x - got[i]!));
    return [[off / Math.hypot(...want), key]];
  });
  return errors.reduce((worst, one) => (one[0] > worst[0] ? one : worst));
}

test('gradients of 4 x 16 pictures are those of 1 x 64, with L1 + LPIPS', async () => {
  const [whole, parted] = [await oneStep(1), await oneStep(4)];
  const [error, key] = largestError(whole.moments, parted.moments);
  expect(error, key).toBeLessThan(5e-6); // 6e-7 measured
});

test('gradients of 4 x 16 pictures are those of 1 x 64 for both players of the game, and the spectral vectors have the same bits', async () => {
  const [whole, parted] = [await oneStep(1, GAME), await oneStep(4, GAME)];
  const [error, key] = largestError(whole.moments, parted.moments);
  expect(error, key).toBeLessThan(1e-4); // 2.3e-5 measured, at a bias whose parts by real and by fake pictures nearly cancel
  expect(whole.moments.size).toBeGreaterThan(50);
  expect(parted.vectors).toEqual(whole.vectors);
});
