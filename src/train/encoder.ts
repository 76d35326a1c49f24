// Pretrains an encoder on pictures alone as a masked autoencoder (He et al., 2022; models/mae.ts), for fields that have none.
// What it leaves, `encoder.safetensors` in the run directory, is a frozen encoder for `rae train rae`.

import { join } from 'node:path';
import type { RunConfig } from '../config/index.ts';
import type { Batch, Loader, PictureSource } from '../data/index.ts';
import { toPixels } from '../inference/pixels.ts';
import { encodeGrid } from '../io/grid.ts';
import type { EncoderSpec } from '../models/encoders/index.ts';
import { unpatchify } from '../models/layers/patches.ts';
import { MaskedAutoencoder } from '../models/mae.ts';
import { AdamW, adamWOptions, Ema } from '../optim/index.ts';
import { autocast, backward, cat, Generator, noGrad, rand, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { saveEncoder } from '../weights/index.ts';
import { somePictures } from './evaluate.ts';
import { emaDecay, scheduleOf } from './schedule.ts';
import { openSession, type RunOptions, type StepFigures } from './session.ts';
import { applyUpdate } from './update.ts';

/** Pixel mean and deviation that a self-trained encoder is given: [0, 1] becomes [-1, 1]. */
const MEAN = [0.5, 0.5, 0.5];
const STD = [0.5, 0.5, 0.5];

export interface EncoderTraining extends RunOptions {
  loader: Loader;
  heldOut: PictureSource;
}

/** The autoencoder of a configuration's `mae` section, with what its encoder will be saved as. */
export function buildMae(config: RunConfig, generator: Generator): { mae: MaskedAutoencoder; spec: EncoderSpec } {
  const { mae: section } = config;
  const { image_size } = config.data;
  if (section === undefined) {
    throw new ConfigError(expected('configuration', "a section 'mae'", 'none', 'Try --recipe embedded-encoder.'));
  }
  if (image_size % section.patch_size !== 0) {
    throw new ConfigError(
      expected('data.image_size', `a multiple of mae.patch_size ${section.patch_size}`, image_size),
    );
  }
  const side = image_size / section.patch_size;
  const vit = {
    width: section.hidden_size,
    depth: section.num_hidden_layers,
    heads: section.num_attention_heads,
    hidden: section.intermediate_size,
    patch: section.patch_size,
    grid: [side, side] as const,
  };
  const mae = new MaskedAutoencoder({
    encoder: { ...vit, finalNorm: 'affine' },
    decoder: {
      width: section.decoder_hidden_size,
      depth: section.decoder_num_hidden_layers,
      heads: section.decoder_num_attention_heads,
      hidden: section.decoder_intermediate_size,
    },
    maskRatio: section.mask_ratio,
    normPixLoss: section.norm_pix_loss,
    generator,
  });
  return { mae, spec: { family: 'vit', vit: { ...mae.encoder.options, finalNorm: 'plain' }, mean: MEAN, std: STD } };
}

/** Trains until the configuration's end, `stopAt`, or a signal (InterruptedError, after saving). */
export async function trainEncoder({ config, loader, heldOut, log, ...run }: EncoderTraining): Promise<void> {
  const { training, data } = config;

  // ── model, optimiser, average ─────────────────────────
  const generator = new Generator(training.global_seed);
  const { mae, spec } = buildMae(config, generator);
  const params = mae.namedParameters().filter(([, p]) => p.requiresGrad);
  const optimizer = new AdamW(params, adamWOptions(training));
  const ema = new Ema(mae, { decay: emaDecay(config) });
  const schedule = scheduleOf(config, loader.size);
  const [B, S] = [training.global_batch_size, data.image_size];
  const normalise = (pixels: Tensor) => pixels.sub(tensor(MEAN).view([3, 1, 1])).div(tensor(STD).view([3, 1, 1]));

  // ── session ───────────────────────────────────────────
  const shown = await somePictures(heldOut, 8);
  const session = await openSession({
    ...run,
    config,
    schedule,
    loader,
    log,
    batch: B,
    headline: 'loss/total',
    parts: { tensors: { model: mae, ema, optimizer }, generators: { noise: generator } },
    preview: () => ema.applyTo(mae, () => maskedGrid(mae, shown, normalise)),
  });

  // ── step ──────────────────────────────────────────────
  function trainStep({ images }: Batch, step: number, lr: number): StepFigures {
    const pixels = normalise(toPixels(images, [B, S, S])); // [B, 3, S, S]
    const order = rand([B, mae.encoder.options.grid[0] * mae.encoder.options.grid[1]], { generator }).argsort(1); // [B, N]
    const { loss } = autocast({ dtype: 'bf16', enabled: training.precision === 'bf16' }, () =>
      mae.forward(pixels, { order }),
    );
    backward(loss);
    const total = loss.item();
    const norm = applyUpdate({ params, optimizer, ema, step, lr, clip: training.clip_grad, loss: total });
    return { mean: { 'loss/total': total, grad_norm: norm }, now: { 'lr/encoder': lr } };
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
    ema.applyTo(mae, () => saveEncoder(join(run.out, 'encoder.safetensors'), mae.encoder, spec));
    optimizer.dispose();
    ema.dispose();
    shown.dispose();
  }
}

/** Three rows: pictures, what the encoder sees of them, and the prediction of the rest (in each patch's own mean and contrast). */
function maskedGrid(
  mae: MaskedAutoencoder,
  pixels: Tensor,
  normalise: (pixels: Tensor) => Tensor,
): Promise<Uint8Array> {
  const grid = noGrad(() =>
    tidy(() => {
      const patch = mae.encoder.options.patch;
      const { predicted, mask } = mae.forward(normalise(pixels), { generator: new Generator(0) }); // [B, N, p*p*3], [B, N]
      const hidden = unpatchify(mask.unsqueeze(-1).expand(predicted.shape).contiguous(), patch); // [B, 3, H, W]
      const contrast = mae.normPixLoss ? 0.2 : 0.5; // deviations of a patch, or pixels in [-1, 1]
      const filled = unpatchify(predicted, patch).mul(contrast).add(0.5).clamp(0, 1);
      const seen = pixels.mul(hidden.neg().add(1)).add(hidden.mul(0.5));
      return cat([pixels, seen, filled.mul(hidden).add(pixels.mul(hidden.neg().add(1)))], 0);
    }),
  );
  return encodeGrid(grid, { nrow: pixels.size(0) }).finally(() => grid.dispose());
}
