// Stage 1: trains the decoder of an RAE over its frozen encoder with L1, LPIPS where weights are given, and the adversarial loss where the
// configuration has a `gan` section (spec 5, 6, 7). A step in the reference's order: forward with latent noise, losses, adaptive weight,
// backward, clip, optimiser, average, then the discriminator. Random numbers are drawn for the whole batch and sliced, so that accumulated
// gradients equal those of one large batch.

import type { Batch, Loader, PictureSource } from '../data/index.ts';
import { toPixels } from '../inference/pixels.ts';
import { encodeGrid } from '../io/grid.ts';
import type { Lpips } from '../losses/lpips.ts';
import { reconstructionLoss } from '../losses/reconstruction.ts';
import type { Rae } from '../models/rae.ts';
import { AdamW, adamWOptions, Ema } from '../optim/index.ts';
import { autocast, backward, cat, Generator, noGrad, recomputing, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { type Batching, generatorGradients, updateDiscriminator } from './adversarial.ts';
import { openAdversary, startsOf, type Trunk } from './adversary.ts';
import { evaluateReconstruction, somePictures } from './evaluate.ts';
import { addLatentNoise, drawLatentNoise } from './latent-noise.ts';
import { figureNames } from './reconstruction-figures.ts';
import { emaDecay, microBatches, scheduleOf } from './schedule.ts';
import { openSession, type RunOptions, type StepFigures } from './session.ts';
import { applyUpdate } from './update.ts';

export interface RaeTraining extends RunOptions {
  rae: Rae;
  lpips?: Lpips | undefined;
  /** What the discriminator judges by; needed with a `gan` section. */
  trunk?: Trunk | undefined;
  loader: Loader;
  heldOut: PictureSource;
}

type Figures = Record<string, number>;

/** Trains until the configuration's end, `stopAt`, or a signal (InterruptedError, after saving). */
export async function trainRae({
  config,
  rae,
  lpips,
  trunk,
  loader,
  heldOut,
  log,
  ...run
}: RaeTraining): Promise<void> {
  const { training, losses, data } = config;
  const [B, S] = [training.global_batch_size, data.image_size];
  checkSide(rae.latentSide, rae.decoder.options.patch, S);

  // ── model, optimiser, average ─────────────────────────
  rae.eval(); // the latent noise of training is added here, see latent-noise.ts
  const params = rae.decoder.namedParameters();
  const optimizer = new AdamW(params, adamWOptions(training));
  const ema = new Ema(rae.decoder, { decay: emaDecay(config) });
  const generator = new Generator(training.global_seed);
  const schedule = scheduleOf(config, loader.size);
  const weights = { l1Weight: losses.l1, perceptualWeight: losses.lpips, gramWeight: losses.gram };
  const recompute = training.activation_checkpointing;
  const batching: Batching = { batch: B, micro: microBatches(config), bf16: training.precision === 'bf16', recompute };

  // ── discriminator ─────────────────────────────────────
  const starts = startsOf(config, schedule);
  const adversary = config.gan && openAdversary(config, config.gan, trunk, schedule);
  const parts = {
    tensors: {
      model: rae.decoder,
      ema,
      optimizer,
      ...(adversary && { discriminator: adversary.disc, discriminator_optimizer: adversary.optimizer }),
    },
    generators: { noise: generator, ...(adversary && { augment: adversary.generator }) },
  };

  // ── session ───────────────────────────────────────────
  const shown = await somePictures(heldOut, 8);
  const evaluate = async (prefix: string) => prefixed(prefix, await evaluateReconstruction(rae, heldOut, lpips));
  const evaluated = ['eval_ema', ...(config.eval?.eval_model ? ['eval_model'] : [])];
  const session = await openSession({
    ...run,
    config,
    schedule,
    loader,
    log,
    batch: B,
    headline: 'loss/total',
    parts,
    preview: () => ema.applyTo(rae.decoder, () => reconstructionGrid(rae, shown)),
    evaluates: evaluated.flatMap((who) => figureNames(rae, { lpips }).map((name) => `${who}/${name}`)),
    evaluate: async () => ({
      ...(await ema.applyTo(rae.decoder, () => evaluate('eval_ema'))),
      ...(config.eval?.eval_model ? await evaluate('eval_model') : {}),
    }),
  });

  // ── step ──────────────────────────────────────────────
  function trainStep({ images }: Batch, step: number, lr: number): StepFigures {
    const { micro } = batching;
    const pixels = toPixels(images, [B, S, S]); // [B, 3, S, S]
    const noise = drawLatentNoise(rae, B, generator);
    const inPrecision = <T>(fn: () => T): T => autocast({ enabled: batching.bf16 }, fn);
    const real = (at: number) => pixels.narrow(0, at, micro);
    const encode = (at: number) => inPrecision(() => rae.encode(real(at))); // [micro, C, h, w]
    // Where the discriminator takes part, latents are needed again: kept, they are encoded once.
    const judged = step >= starts.discriminator;
    const kept = judged ? Array.from({ length: B / micro }, (_, i) => encode(i * micro)) : [];
    const latents = (at: number) => kept[at / micro] ?? encode(at);

    // Generator.
    const sums: Figures = {
      'loss/total': 0,
      'loss/recon': 0,
      'loss/lpips': 0,
      ...(losses.gram > 0 && { 'loss/gram': 0 }),
    };
    const tally = (name: string, part: Tensor | undefined) => {
      if (part) sums[name] = (sums[name] ?? 0) + (part.item() * micro) / B;
    };
    const reconstruct = (at: number) => inPrecision(() => rae.decode(addLatentNoise(latents(at), noise, at)));
    const lossOf = (recon: Tensor, at: number) => {
      const perceptual = step >= starts.lpips ? lpips : undefined;
      const loss = inPrecision(() => reconstructionLoss(recon, real(at), { lpips: perceptual, ...weights }));
      tally('loss/total', loss.total);
      tally('loss/recon', loss.l1);
      tally('loss/lpips', loss.lpips);
      tally('loss/gram', loss.gram);
      return loss.total;
    };
    const game: Figures = {};
    if (adversary && adversary.weight > 0 && step >= starts.adversarial) {
      const of = { layer: rae.decoder.decoder_pred.weight, reconstruct, reconstructionLoss: lossOf };
      const { gan, lambda } = generatorGradients(adversary, of, batching);
      game['loss/gan'] = gan;
      game['disc/weight'] = lambda;
      sums['loss/total']! += adversary.weight * lambda * gan;
    } else {
      for (let at = 0; at < B; at += micro) {
        recomputing({ enabled: recompute }, () =>
          tidy(() => {
            const total = lossOf(reconstruct(at), at);
            backward(micro === B ? total : total.mul(micro / B));
          }),
        );
      }
    }
    const clip = training.clip_grad;
    const terms = { ...sums, ...game };
    const norm = applyUpdate({ params, optimizer, ema, step, lr, clip, loss: sums['loss/total']!, terms });
    const rates: Figures = { 'lr/generator': lr };

    // Discriminator: reconstructions by the updated decoder, without latent noise.
    if (adversary && judged) {
      const fake = (at: number) => inPrecision(() => rae.decode(latents(at)));
      const since = step - starts.discriminator;
      const { lr, ...figures } = updateDiscriminator(adversary, { fake, real }, batching, { step, since });
      Object.assign(game, figures);
      rates['lr/discriminator'] = lr;
    }
    return { mean: { ...sums, grad_norm: norm, ...game }, now: rates };
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
    adversary?.optimizer.dispose();
    ema.dispose();
    shown.dispose();
  }
}

/** ConfigError unless a decoder of this patch makes pictures of `imageSize` from a grid of `latentSide`. */
export function checkSide(latentSide: number, patch: number, imageSize: number): void {
  const side = latentSide * patch;
  if (side === imageSize) return;
  throw new ConfigError(
    expected(
      'data.image_size',
      `${side}, what the decoder makes (latent side ${latentSide} times its patch)`,
      imageSize,
      'Set data.image_size or stage_1.params.decoder_patch_size.',
    ),
  );
}

/** Inputs above reconstructions, as PNG bytes. */
export function reconstructionGrid(rae: Rae, pixels: Tensor): Promise<Uint8Array> {
  const both = noGrad(() => tidy(() => cat([pixels, rae.forward(pixels).clamp(0, 1)], 0)));
  return encodeGrid(both, { nrow: pixels.size(0) }).finally(() => both.dispose());
}

function prefixed(prefix: string, figures: Readonly<Figures>): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${prefix}/${name}`, value]));
}
