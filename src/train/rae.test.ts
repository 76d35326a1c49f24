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
import { latestCheckpoint, readMetrics } from '../runs/index.ts';
import { dispose, Generator, manualSeed, rand, type Tensor } from '../tensor/index.ts';
import { log } from '../util/log.ts';
import { trainRae } from './rae.ts';
import { openLoader } from './sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-accumulation-'));
afterAll(() => rmSync(folder, { recursive: true }));
log.quiet = true;

const BATCH = 64;
const GAME = { adversarial: true };
const FROM_THE_START = { disc_upd_start_step: 0, disc_start_step: 0 };

interface Wanted {
  adversarial?: boolean;
  recompute?: boolean;
  /** Sections that replace or extend those of the run. */
  more?: RunConfigInput;
  /** Side of the pictures: 64 needs the decoder to make twice what the encoder sees. */
  side?: number;
}

/** A run of one step of 64 pictures in `parts`. */
async function run(parts: number, { adversarial = false, recompute = false, more = {}, side = 32 }: Wanted = {}) {
  manualSeed(0);
  const generator = new Generator(1);
  const vit = { width: 32, depth: 2, heads: 2, hidden: 64, patch: 8, grid: [4, 4] as const };
  const encoder = new Encoder({ family: 'vit', vit, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
  for (const p of encoder.parameters()) p.detach().uniform_(-0.2, 0.2, { generator });
  const sizes = { channels: 32, width: 32, depth: 2, heads: 2, hidden: 64, patch: side / 4, tokens: 16 };
  const { noise_kind } = more.stage_1?.params ?? {};
  const rae = new Rae({
    encoder,
    decoder: new Decoder({ ...sizes, generator }),
    encoderInputSize: 32,
    noiseTau: 0.5,
    ...(noise_kind && { noise: noise_kind }),
  });
  const trunk = new SqueezeNet();
  const heads = trunk.channels.map((C, i) => [`lin${i}.weight`, rand([1, C, 1, 1], { generator })] as const);
  const config = resolveConfig({
    training: {
      steps: 1,
      global_batch_size: BATCH,
      grad_accum_steps: parts,
      activation_checkpointing: recompute,
      log_interval: 1,
      clip_grad: 0,
      optimizer: { lr: 1e-6, betas: [0.9, 0.95] },
    },
    data: { image_size: side, synthetic: {}, crop: 'center' },
    ...(adversarial && { gan: { disc: { arch: { ks: 3 } }, loss: FROM_THE_START } }),
    ...more,
  } as RunConfigInput);
  const out = mkdtempSync(join(folder, 'run-'));
  await trainRae({
    config,
    rae,
    lpips: lpipsFromWeights(new Map([...trunk.stateDict(), ...heads])),
    trunk: config.gan && encoder,
    loader: openLoader(config, syntheticSource({ size: BATCH, side })),
    heldOut: syntheticSource({ size: 8, part: 'heldout', side }),
    out,
    resume: false,
    log,
  });
  return { out, at: latestCheckpoint(out)!.path };
}

/** What it leaves: the first moments of both optimisers, a tenth of the gradients, and the vectors of spectral normalisation. */
async function oneStep(parts: number, wanted: Wanted = {}) {
  const { at } = await run(parts, wanted);
  const players = ['optimizer', ...(wanted.adversarial ? ['discriminator_optimizer'] : [])];
  const moments = players.flatMap((player) => {
    const state = loadSafetensors(join(at, `${player}.safetensors`));
    const found = [...state]
      .filter(([key]) => key.startsWith('exp_avg.'))
      .map(([key, m]) => [key, m.toNumbers()] as const);
    dispose(state);
    return found;
  });
  const vectors = wanted.adversarial ? spectral(loadSafetensors(join(at, 'discriminator.safetensors'))) : [];
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
  a: ReadonlyMap<string, readonly number[]>,
  b: ReadonlyMap<string, readonly number[]>,
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

test('activation checkpointing of the decoder leaves the bits of every gradient, also in the game', async () => {
  for (const [parts, adversarial] of [
    [4, false],
    [1, true],
    [4, true],
  ] as const) {
    const [plain, again] = [
      await oneStep(parts, { adversarial }),
      await oneStep(parts, { adversarial, recompute: true }),
    ];
    expect(again).toEqual(plain);
  }
});

test('an upsampling decoder, Gram loss, half-normal noise and another kind of discriminator are a matter of configuration', async () => {
  const { out } = await run(2, {
    side: 64,
    more: {
      stage_1: { params: { noise_kind: 'half-normal', encoder_input_size: 32, decoder_patch_size: 16 } },
      losses: { gram: 100, lpips_file: 'weights' },
      gan: {
        disc: { arch: { ks: 5, norm_type: 'gn', resize: false, key_depths: [0], using_spec_norm: false } },
        loss: { ...FROM_THE_START, disc_loss: 'vanilla' },
      },
    },
  });
  const [line] = readMetrics(join(out, 'metrics.jsonl'));
  for (const name of ['loss/gram', 'loss/gan', 'loss/disc', 'disc/weight', 'disc/grad_norm', 'grad_norm'])
    expect(Math.abs(line?.[name] as number), name).toBeGreaterThan(0);
  expect(line!['loss/total']).toBeGreaterThan(line!['loss/recon'] as number);
});
