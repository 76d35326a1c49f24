// What the demo measures of a model on the embedded set, and the grids it draws: held-out pictures above their reconstructions, samples of
// every class, one class a row, and all of it in one enlarged picture.

import { join } from 'node:path';
import { type PictureSource, syntheticSource } from '../data/index.ts';
import { generateLatents, guidanceOf, samplerOf } from '../inference/generate.ts';
import { type LoadedGenerator, loadModel } from '../inference/load-model.ts';
import { encodeGrid } from '../io/grid.ts';
import type { Rae } from '../models/rae.ts';
import { cat, dispose, noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { evaluateReconstruction, somePictures } from '../train/evaluate.ts';
import {
  encodeAll,
  fitProbe,
  type LabelledLatents,
  latentFrechet,
  meanPairwiseDistance,
  probeAccuracy,
} from '../train/judge.ts';
import { reconstructionGrid } from '../train/rae.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';

export interface Figures {
  /** Of reconstructions of held-out pictures, dB. */
  psnr: number;
  /** Share of samples that a linear probe on real latents assigns to the class asked for. */
  accuracy: number;
  /** Frechet distance of mean-pooled latents, samples against training pictures. */
  frechet: number;
  /** Mean distance between samples of one class, pixels in [0, 1]. */
  spread: number;
  /** The same of held-out pictures. */
  real: { accuracy: number; frechet: number; spread: number };
}

/** Pictures that fit the probe, that are held out, and that are sampled. */
const SIZES = { probe: 3000, heldOut: 500, samples: 200 };
const GRID = { columns: 8, classes: 10 };

/** Judges the model at `path` and writes `NAME-reconstructions.png`, `NAME-samples.png` and `NAME.png` into `out`. */
export async function judgeModel(path: string, { out, name }: { out: string; name: string }): Promise<Figures> {
  const model = loadModel(path, { need: 'generator' });
  const { rae } = model;
  const heldOut = pictures('heldout', SIZES.heldOut, model.side);

  // ── reconstructions ───────────────────────────────────
  const shown = await somePictures(heldOut, 10);
  writeFileAtomic(join(out, `${name}-reconstructions.png`), await reconstructionGrid(rae, shown));
  const { psnr = 0 } = await evaluateReconstruction(rae, heldOut);

  // ── samples ───────────────────────────────────────────
  const samples = sample(model, SIZES.samples);
  const pixels = noGrad(() => tidy(() => rae.decode(samples.latents).clamp(0, 1)));
  writeFileAtomic(join(out, `${name}-samples.png`), await sampleGrid(pixels));
  writeFileAtomic(join(out, `${name}.png`), await overview(rae, shown, pixels));

  // ── judged by latents of real pictures ────────────────
  const train = await encodeAll(rae, pictures('train', SIZES.probe, model.side));
  const real = await encodeAll(rae, heldOut);
  const realPixels = await somePictures(pictures('heldout', SIZES.samples, model.side), SIZES.samples);
  const probe = fitProbe(train);
  const figures: Figures = {
    psnr,
    accuracy: probeAccuracy(probe, samples),
    frechet: latentFrechet(samples.latents, train.latents),
    spread: meanPairwiseDistance(pixels, samples.labels),
    real: {
      accuracy: probeAccuracy(probe, real),
      frechet: latentFrechet(real.latents, train.latents),
      spread: meanPairwiseDistance(
        realPixels,
        Array.from({ length: realPixels.size(0) }, (_, i) => i % GRID.classes),
      ),
    },
  };
  probe.dispose();
  dispose([shown, samples.latents, pixels, train.latents, real.latents, realPixels]);
  return figures;
}

function pictures(part: 'train' | 'heldout', size: number, side: number): PictureSource {
  return syntheticSource({ part, size, side });
}

function sample({ config, generator }: LoadedGenerator, count: number): LabelledLatents {
  const labels = Array.from({ length: count }, (_, i) => i % GRID.classes);
  const { latents } = generateLatents(config, generator, labels, {
    ...samplerOf(config),
    guidance: guidanceOf(config, generator),
    seed: 0,
  });
  return { latents, labels };
}

/** One class a row: samples come class after class in turn. */
function sampleGrid(pixels: Tensor): Promise<Uint8Array> {
  const { columns, classes } = GRID;
  const [, C, H, W] = pixels.dims(4);
  const rows = pixels
    .narrow(0, 0, columns * classes)
    .reshape([columns, classes, C, H, W])
    .transpose(0, 1)
    .reshape([-1, C, H, W]);
  return encodeGrid(rows, { nrow: columns }).finally(() => rows.dispose());
}

/** A column a class: a held-out picture, its reconstruction, samples; three times enlarged. */
function overview(rae: Rae, shown: Tensor, samples: Tensor): Promise<Uint8Array> {
  const { columns, classes } = GRID;
  const all = noGrad(() =>
    tidy(() => {
      const rows = cat([shown, rae.forward(shown).clamp(0, 1), samples.narrow(0, 0, columns * classes)], 0);
      return rows.repeatInterleave(3, 2).repeatInterleave(3, 3);
    }),
  );
  return encodeGrid(all, { nrow: classes, padding: 4, padValue: 1 }).finally(() => all.dispose());
}
