import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type RunConfigInput, resolveConfig } from '../config/index.ts';
import { generateLatents, samplingTimes } from '../inference/generate.ts';
import { createStage2, type Stage2Model } from '../models/stage2.ts';
import { latestCheckpoint, readMetrics } from '../runs/index.ts';
import { Generator, noGrad, randn, type Tensor } from '../tensor/index.ts';
import { ConfigError } from '../util/errors.ts';
import { Log } from '../util/log.ts';
import { previewSampling, trainDit } from './dit.ts';
import type { LatentBatches, LatentSet } from './latents.ts';

const stage_2 = (class_dropout_prob: number) => ({
  target: 'stage2.models.DDT.DiTwDDTHead' as const,
  params: {
    input_size: 2,
    in_channels: 16,
    hidden_size: [16, 24] as [number, number],
    depth: [1, 1] as [number, number],
    num_heads: [2, 2] as [number, number],
    num_classes: 3,
    class_dropout_prob,
  },
});

function sampling(input: Partial<RunConfigInput>, dropout = 0.1) {
  const config = resolveConfig({ stage_2: stage_2(dropout), misc: { time_dist_shift_base: 64 }, ...input });
  return previewSampling(config, createStage2(config.stage_2!));
}

test('a run that is to be sampled by an SDE draws its grids by an ODE', () => {
  expect(sampling({ sampler: { mode: 'SDE' } })).toMatchObject({ method: 'euler', steps: 50, guidance: {} });
});

test('a run that is to be guided by a weaker model draws its grids without one', () => {
  const guidance = { method: 'autoguidance' as const, scale: 1.5, guidance_model: stage_2(0.1) };
  expect(sampling({ guidance }).guidance).toEqual({});
});

test('classifier-free guidance of a model without a null label is refused before training', () => {
  expect(() => sampling({ guidance: { scale: 1.5 } }, 0)).toThrow(ConfigError);
  expect(sampling({ guidance: { scale: 1.5 } }).guidance).toHaveProperty('cfg.scale', 1.5);
});

const SHAPE = [16, 2, 3] as const; // a rectangle
const fixed = randn([8, ...SHAPE], { generator: new Generator(7) }); // training draws from 0
const labels = Int32Array.from([0, 1, 2, 0, 1, 2, 0, 1]);
const batch = { labels, latents: () => fixed.clone() };

interface Trial {
  params?: object;
  batches?: LatentBatches['next'];
  stopAt?: number;
  created?: (model: Stage2Model) => void;
}

/** A run of a few steps, without pictures; by default on the same eight latents. The caller disposes the model. */
async function run(input: Partial<RunConfigInput>, { params, batches, stopAt = 3, created }: Trial = {}) {
  const out = mkdtempSync(join(tmpdir(), 'rae-dit-'));
  const config = resolveConfig({
    stage_2: {
      target: 'stage2.models.lightningDiT.LightningDiT',
      params: {
        input_size: [2, 3],
        in_channels: 16,
        hidden_size: 48,
        depth: 1,
        num_heads: 2,
        class_dropout_prob: 0,
        ...params,
      },
    },
    misc: { time_dist_shift_base: 64 },
    ...input,
    training: { steps: 100, global_batch_size: 8, log_interval: 1, optimizer: { lr: 3e-3 }, ...input.training },
  });
  const set: LatentSet = { size: 8, label: (i) => labels[i]!, read: async () => batch };
  const model = createStage2(config.stage_2!, { generator: new Generator(1) });
  created?.(model);
  const warnings: string[] = [];
  await trainDit({
    config,
    rae: undefined as never, // decodes grids, of which none is due
    model,
    batches: { size: 8, state: () => 0, restore: () => {}, next: batches ?? (async () => batch) },
    train: set,
    heldOut: set,
    out,
    resume: false,
    stopAt,
    log: new Log({ stream: { write: (text) => warnings.push(text) } }),
  });
  return { out, config, model, warnings: warnings.filter((line) => line.startsWith('warning')) };
}

async function train(input: Partial<RunConfigInput>, params: object = {}): Promise<number[]> {
  const { out, model } = await run(input, { params });
  model.dispose();
  return readMetrics(join(out, 'metrics.jsonl')).map((line) => line['train/loss'] as number);
}

describe.each(['Linear', 'GVP', 'VP'] as const)('on the path %s', (path_type) => {
  test.each(['velocity', 'noise', 'score', 'data'] as const)(
    'rectangles are learned by %s prediction, and sampled to either end',
    async (prediction) => {
      const { out, config, model } = await run({ transport: { params: { path_type, prediction } } });
      const losses = readMetrics(join(out, 'metrics.jsonl')).map((line) => line['train/loss'] as number);
      expect(losses.every(Number.isFinite)).toBe(true);
      expect(losses[2]).toBeLessThan(2 * losses[0]!);
      model.eval();
      for (const [method, end] of [
        ['heun2', 'reference'],
        ['ab2', 'zero'],
      ] as const) {
        const options = { method, end, steps: 8, guidance: {}, seed: 0, batch: 2 };
        const { latents } = generateLatents(config, model, [0, 1], options);
        expect(latents.isfinite().all().item(), `${method} to ${end}`).toBe(1);
        latents.dispose();
      }
      const ended = { method: 'heun2', end: 'zero', steps: 8 } as const;
      const velocityThere = prediction === 'velocity' || path_type === 'VP';
      if (velocityThere) expect(samplingTimes(config, ended).at(-1)).toBe(0);
      else expect(() => samplingTimes(config, ended)).toThrow(/--end: expected 'reference' with .* 'heun2' looks at/);
      model.dispose();
    },
  );
});

describe('numbers that are not finite', () => {
  const STOP = 4;
  const training = { checkpoint_every: 1 };
  /** Batches of which the third, asked for once, is spoiled. */
  const spoiled = (spoil: (latents: Tensor) => Tensor): LatentBatches['next'] => {
    let asked = 0;
    return async () => {
      const third = asked++ === 2;
      return { labels, latents: () => (third ? spoil(fixed.clone()) : fixed.mul(1 + asked)) };
    };
  };
  const nan = (latents: Tensor) => latents.mul(Number.NaN);

  test('a spoiled batch stops the run, whose last checkpoint stays', async () => {
    await expect(run({ training }, { batches: spoiled(nan), stopAt: STOP })).rejects.toThrow(
      /step 2: expected finite numbers, received loss NaN and non-finite values in the gradients of .*x_embedder/,
    );
  });

  test('after going back, weights and optimiser are as if the batch had been skipped', async () => {
    const rolled = { training: { ...training, non_finite: 'rollback' as const } };
    const skip = await run(
      { training: { ...training, non_finite: 'skip' } },
      { batches: spoiled(nan), stopAt: STOP + 1 }, // one step is lost
    );
    const back = await run(rolled, { batches: spoiled(nan), stopAt: STOP });
    let broken: Stage2Model | undefined;
    const breaking = spoiled((latents) => {
      noGrad(() => broken!.namedParameters()[0]![1].fill_(Number.NaN));
      return latents;
    });
    const created = (model: Stage2Model) => {
      broken = model;
    };
    const mended = await run(rolled, { batches: breaking, stopAt: STOP, created });
    for (const { warnings } of [skip, back]) {
      expect(warnings.join()).toMatch(/step 2: expected finite numbers, received loss NaN .* gradients of /);
    }
    expect(mended.warnings.join()).toMatch(/step 2: .* in the parameters pos_embed\. Back to step 2, on with/);
    const [wanted, ...others] = [skip, back, mended].map(({ out }) => checkpointOf(out));
    for (const other of others) expect(other).toEqual(wanted);
    const steps = readMetrics(join(back.out, 'metrics.jsonl')).map((line) => line.step);
    expect(steps).toEqual([1, 2, 3, 4]);
    for (const { model } of [skip, back, mended]) model.dispose();
  });
});

/** Hashes of weights and moments in the newest checkpoint, without its step in their headers; the average depends on that. */
function checkpointOf(out: string): string[] {
  const { path } = latestCheckpoint(out)!;
  return ['model', 'optimizer'].map((name) => {
    const bytes = readFileSync(join(path, `${name}.safetensors`));
    const body = bytes.subarray(8 + Number(bytes.readBigUInt64LE()));
    return createHash('sha256').update(body).digest('hex');
  });
}

test('the loss weight is reached from the configuration', async () => {
  const [plain] = await train({ transport: { params: { prediction: 'noise' } } });
  const [weighted] = await train({ transport: { params: { prediction: 'noise', loss_weight: 'velocity' } } });
  expect(weighted! / plain!).toBeGreaterThan(1.2);
});

test('a run without classes trains a model without a label table', async () => {
  const losses = await train({ misc: { num_classes: 0, time_dist_shift_base: 64 } }, { num_classes: 0 });
  expect(losses.every(Number.isFinite)).toBe(true);
});
