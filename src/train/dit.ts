// Stage 2: trains a diffusion transformer on the latents of a frozen RAE by flow matching (spec 8, 10, 12).
// Latents are encoded as it goes, or come from a cache; noise, times and dropped labels are drawn for the whole batch and sliced.

import type { RunConfig } from '../config/index.ts';
import {
  drawNoise,
  flowMatchingLoss,
  parseTimeDistribution,
  pathNamed,
  sampleTimes,
  trainingInterval,
} from '../diffusion/index.ts';
import { generateLatents, guidanceOf, type SamplingOptions, samplerOf, shiftOf } from '../inference/generate.ts';
import { chooseLabels } from '../inference/labels.ts';
import { encodeGrid } from '../io/grid.ts';
import type { Rae } from '../models/rae.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { AdamW, adamWOptions, Ema } from '../optim/index.ts';
import {
  autocast,
  backward,
  Generator,
  noGrad,
  rand,
  recomputing,
  type Tensor,
  tensor,
  tidy,
} from '../tensor/index.ts';
import { afterwards } from '../util/afterwards.ts';
import { ditEvaluator } from './evaluate-dit.ts';
import { guarded } from './guard.ts';
import { stopWhenInterrupted } from './interruption.ts';
import { checkLatents } from './latent-check.ts';
import type { LatentBatch, LatentBatches, LatentSet } from './latents.ts';
import { emaDecay, microBatches, scheduleOf } from './schedule.ts';
import { openSession, type RunOptions, type StepFigures } from './session.ts';
import { lossByTime } from './time-curve.ts';
import { applyUpdate, updateRatio } from './update.ts';

export interface DitTraining extends RunOptions {
  /** In evaluation mode, with its statistics; decodes the grids. Its encoder is not used here. */
  rae: Rae;
  model: Stage2Model;
  /** Trained on. */
  batches: LatentBatches;
  /** The same, neither shuffled nor mirrored. */
  train: LatentSet;
  heldOut: LatentSet;
}

const GRID_COLUMNS = 10;

/** Trains until the configuration's end, `stopAt`, or a signal (InterruptedError, after saving). */
export async function trainDit({
  config,
  rae,
  model,
  batches,
  train,
  heldOut,
  log,
  ...run
}: DitTraining): Promise<void> {
  const { training, misc } = config;
  const { path_type, prediction, loss_weight, time_dist_type, train_eps } = config.transport.params;
  const path = pathNamed(path_type);
  const transport = { path, prediction, ...(loss_weight && { weight: loss_weight }) };
  const times = {
    distribution: parseTimeDistribution(time_dist_type),
    interval: trainingInterval(path, prediction, train_eps),
    shift: shiftOf(config),
  };

  // ── model, optimiser, average ─────────────────────────
  model.requiresGrad_(true).train(); // pos_embed and the Fourier frequencies too, as in the reference
  const params = model.namedParameters();
  const tensors = params.map(([, p]) => p);
  const optimizer = new AdamW(params, adamWOptions(training));
  const ema = new Ema(model, { decay: emaDecay(config) });
  const averages = training.ema_decays.map(
    (rate) => [`ema-${rate}`, new Ema(model, { decay: emaDecay(config, rate) })] as const,
  );
  const generator = new Generator(training.global_seed);
  const schedule = scheduleOf(config, batches.size);
  const micro = microBatches(config);
  const dropout = model.nullLabel === undefined ? 0 : (config.stage_2?.params.class_dropout_prob ?? 0);

  // ── session ───────────────────────────────────────────
  const previewLabels = chooseLabels(config, 'all', {
    num: GRID_COLUMNS * Math.min(8, Math.max(2, Math.ceil(misc.num_classes / GRID_COLUMNS))),
    seed: 0,
  });
  const sampling = previewSampling(config, model); // now: what cannot be sampled is an error before the first step
  const evaluator = ditEvaluator({ config, heldOut, transport, times, sampling });
  const judged = ['eval_ema', ...(config.eval?.eval_model ? ['eval_model'] : [])];
  const evaluating = <T>(fn: () => T): T => ema.applyTo(model, () => inEvaluation(model, fn));
  const session = await openSession({
    ...run,
    config,
    schedule,
    loader: batches,
    log,
    batch: training.global_batch_size,
    headline: 'train/loss',
    parts: { tensors: { model, ema, ...Object.fromEntries(averages), optimizer }, generators: { noise: generator } },
    preview: async () => {
      const grid = evaluating(() => samplePictures(config, rae, model, { labels: previewLabels, sampling }));
      return encodeGrid(grid, { nrow: GRID_COLUMNS }).finally(() => grid.dispose());
    },
    evaluates: judged.flatMap((who) => evaluator.names.map((name) => `${who}/${name}`)),
    evaluate: async () => ({
      ...prefixed('eval_ema', await evaluating(() => evaluator.evaluate(model))),
      ...(judged.length > 1 && prefixed('eval_model', await inEvaluation(model, () => evaluator.evaluate(model)))),
    }),
  });
  const guard = guarded({ policy: training.non_finite, optimizer, session, log });

  // ── step ──────────────────────────────────────────────
  function trainStep({ labels, ...batch }: LatentBatch, step: number, lr: number): StepFigures {
    const B = labels.length;
    const latents = batch.latents(); // [B, C, h, w]
    const y = misc.num_classes > 0 ? tensor(labels, { dtype: 'i64' }) : undefined; // [B]
    const noise = drawNoise(latents, generator);
    const t = sampleTimes(B, { ...times, generator });
    const dropMask = dropout > 0 ? rand([B], { generator }).lt(dropout) : undefined;
    let total = 0;
    const losses: number[] = []; // [B]
    for (let at = 0; at < B; at += micro) {
      const cut = (x: Tensor) => (micro === B ? x : x.narrow(0, at, micro));
      total += recomputing({ enabled: training.activation_checkpointing }, () =>
        tidy(() => {
          const labelsHere = y && cut(y);
          const { loss } = flowMatchingLoss(
            (xt, time) =>
              autocast({ dtype: 'bf16', enabled: training.precision === 'bf16' }, () =>
                model.forward(xt, time, labelsHere, { dropMask: dropMask && cut(dropMask) }),
              ),
            cut(latents),
            { ...transport, noise: cut(noise), t: cut(t) },
          );
          losses.push(...loss.detach().toNumbers());
          const mean = loss.mean();
          backward(micro === B ? mean : mean.mul(micro / B));
          return (mean.item() * micro) / B;
        }),
      );
    }
    const others = averages.map(([, average]) => average);
    const clip = training.clip_grad;
    const update = () => applyUpdate({ params, optimizer, ema, averages: others, step, lr, clip, loss: total });
    const measured = (step + 1) % schedule.logEvery === 0 ? updateRatio(tensors, update) : { result: update() };
    return {
      mean: { 'train/loss': total, grad_norm: measured.result, ...lossByTime(t.toNumbers(), losses) },
      now: { 'train/lr': lr, ...('ratio' in measured && { update_ratio: measured.ratio }) },
    };
  }

  // ── loop ──────────────────────────────────────────────
  try {
    if (session.state.step === 0) await checkLatents(train, log);
    while (session.goesOn()) {
      const batch = await batches.next();
      const { step } = session.state;
      const figures = guard(() => tidy(() => trainStep(batch, step, schedule.lr(step))));
      if (figures) await session.afterStep(figures);
    }
  } finally {
    await session.close();
    optimizer.dispose();
    ema.dispose();
    for (const [, average] of averages) average.dispose();
    evaluator.dispose();
  }
}

type Sampling = Omit<SamplingOptions, 'batch'>;

/**
 * How grids are drawn: by the configuration's sampler and guidance. A run that will be sampled by an SDE draws by Euler's 49 steps, one that
 * will be guided by a weaker model draws unguided. ConfigError when guidance needs a null label that the model has not.
 */
export function previewSampling(config: RunConfig, model: Stage2Model): Sampling {
  const { sampler, guidance, training } = config;
  const ode = sampler.mode === 'ODE' ? samplerOf(config) : { method: 'euler', steps: 50, end: 'reference' as const };
  const guided = guidance.method === 'autoguidance' ? {} : guidanceOf(config, model);
  return { ...ode, guidance: guided, seed: training.global_seed };
}

/** Samples with fixed noise, so that grids of one run show the same pictures growing: [N, 3, H, W] in [0, 1]. */
function samplePictures(
  config: RunConfig,
  rae: Rae,
  model: Stage2Model,
  { labels, sampling }: { labels: readonly number[]; sampling: Sampling },
): Tensor {
  return noGrad(() =>
    tidy(() => {
      const { latents } = generateLatents(config, model, labels, {
        ...sampling,
        batch: Math.min(labels.length, 40),
        onStep: stopWhenInterrupted,
      });
      return rae.decode(latents).clamp(0, 1);
    }),
  );
}

function prefixed(prefix: string, figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${prefix}/${name}`, value]));
}

function inEvaluation<T>(model: Stage2Model, fn: () => T): T {
  model.eval();
  return afterwards(fn, () => void model.train());
}
