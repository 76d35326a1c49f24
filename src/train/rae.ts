// Stage 1: trains the decoder of an RAE over its frozen encoder with L1 and, where weights are given, LPIPS (spec 5, 7).
// A step in the reference's order: forward with latent noise, losses, backward, clip, optimiser, average. Random numbers are drawn for
// the whole batch and sliced, so that accumulated gradients equal those of one large batch.

import type { RunConfig } from '../config/index.ts';
import type { Batch, Loader, PictureSource } from '../data/index.ts';
import { toPixels } from '../inference/pixels.ts';
import { encodeGrid } from '../io/grid.ts';
import type { Lpips } from '../losses/lpips.ts';
import { reconstructionLoss } from '../losses/reconstruction.ts';
import type { Rae } from '../models/rae.ts';
import { AdamW, adamWOptions, Ema } from '../optim/index.ts';
import { autocast, backward, cat, Generator, noGrad, rand, randn, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { evaluateReconstruction, somePictures } from './evaluate.ts';
import { emaDecay, microBatches, scheduleOf } from './schedule.ts';
import { openSession } from './session.ts';
import { applyUpdate } from './update.ts';

export interface RaeTraining {
  config: RunConfig;
  rae: Rae;
  lpips?: Lpips | undefined;
  loader: Loader;
  heldOut: PictureSource;
  out: string;
  resume: boolean;
  stopAt?: number | undefined;
  maxSeconds?: number | undefined;
  log: Log;
}

/** Trains until the configuration's end, `stopAt`, or a signal (InterruptedError, after saving). */
export async function trainRae({ config, rae, lpips, loader, heldOut, log, ...run }: RaeTraining): Promise<void> {
  const { training, losses, data } = config;
  const side = rae.latentSide * rae.decoder.options.patch;
  if (side !== data.image_size) {
    throw new ConfigError(
      expected(
        'data.image_size',
        `${side}, what the decoder makes (latent side ${rae.latentSide} times its patch)`,
        data.image_size,
        'Set data.image_size or stage_1.params.decoder_patch_size.',
      ),
    );
  }

  // ── model, optimiser, average ─────────────────────────
  rae.train();
  const params = rae.decoder.namedParameters();
  const optimizer = new AdamW(params, adamWOptions(training));
  const ema = new Ema(rae.decoder, { decay: emaDecay(config) });
  const generator = new Generator(training.global_seed);
  const schedule = scheduleOf(config, loader.size);
  const micro = microBatches(config);

  // ── session ───────────────────────────────────────────
  const shown = await somePictures(heldOut, 8);
  const session = openSession({
    ...run,
    config,
    schedule,
    loader,
    log,
    batch: training.global_batch_size,
    headline: 'loss/total',
    parts: { tensors: { model: rae.decoder, ema, optimizer }, generators: { noise: generator } },
    preview: () => ema.applyTo(rae.decoder, () => inEvaluation(rae, () => reconstructionGrid(rae, shown))),
    evaluate: async () => ({
      ...prefixed(
        'eval_ema',
        await ema.applyTo(rae.decoder, () => inEvaluation(rae, () => evaluateReconstruction(rae, heldOut, lpips))),
      ),
      ...(config.eval?.eval_model
        ? prefixed('eval_model', await inEvaluation(rae, () => evaluateReconstruction(rae, heldOut, lpips)))
        : {}),
    }),
  });

  // ── step ──────────────────────────────────────────────
  function trainStep(
    { images, labels }: Batch,
    step: number,
    lr: number,
  ): { mean: Record<string, number>; now: Record<string, number> } {
    const B = labels.length;
    const pixels = toPixels(images, [B, data.image_size, data.image_size]); // [B, 3, H, W]
    const draws = drawNoise(rae, B, generator);
    const sums = { 'loss/total': 0, 'loss/recon': 0, 'loss/lpips': 0 };
    for (let at = 0; at < B; at += micro) {
      tidy(() => {
        const part = pixels.narrow(0, at, micro);
        const {
          total,
          l1,
          lpips: perceptual,
        } = autocast({ dtype: 'bf16', enabled: training.precision === 'bf16' }, () => {
          const latents = rae.encode(
            part,
            draws && { sigma: draws.sigma.narrow(0, at, micro), noise: draws.noise.narrow(0, at, micro) },
          );
          return reconstructionLoss(rae.decode(latents), part, { lpips, perceptualWeight: losses.lpips });
        });
        backward(micro === B ? total : total.mul(micro / B));
        sums['loss/total'] += (total.item() * micro) / B;
        sums['loss/recon'] += (l1.item() * micro) / B;
        sums['loss/lpips'] += ((perceptual?.item() ?? 0) * micro) / B;
      });
    }
    const norm = applyUpdate({ params, optimizer, ema, step, lr, clip: training.clip_grad, loss: sums['loss/total'] });
    return { mean: { ...sums, grad_norm: norm }, now: { 'lr/generator': lr } };
  }

  // ── loop ──────────────────────────────────────────────
  try {
    while (session.goesOn()) {
      const batch = await loader.next();
      const { step } = session.state;
      await session.afterStep(tidy(() => trainStep(batch, step, schedule.lr(step))));
    }
  } finally {
    await session.close();
    optimizer.dispose();
    ema.dispose();
  }
}

/** Noise strengths [B, 1, 1], then noise [B, N, C], in the order of Rae.encode; undefined without noise. */
function drawNoise(rae: Rae, B: number, generator: Generator): { sigma: Tensor; noise: Tensor } | undefined {
  if (rae.noiseTau <= 0) return undefined;
  const shape = [B, 1, 1];
  const sigma = (rae.noise === 'uniform' ? rand(shape, { generator }) : randn(shape, { generator }).abs()).mul(
    rae.noiseTau,
  );
  return { sigma, noise: randn([B, rae.latentSide ** 2, rae.encoder.width], { generator }) };
}

/** Inputs above reconstructions, as PNG bytes. */
export function reconstructionGrid(rae: Rae, pixels: Tensor): Promise<Uint8Array> {
  const both = noGrad(() => tidy(() => cat([pixels, rae.forward(pixels).clamp(0, 1)], 0)));
  return encodeGrid(both, { nrow: pixels.size(0) }).finally(() => both.dispose());
}

async function inEvaluation<T>(rae: Rae, fn: () => Promise<T>): Promise<T> {
  rae.eval();
  try {
    return await fn();
  } finally {
    rae.train();
  }
}

function prefixed(prefix: string, figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${prefix}/${name}`, value]));
}
