// How good a small generator is, without a downloaded judge: a linear probe on the encoder's latents says which class a sample looks
// like, and the Frechet distance compares mean-pooled latents of samples and pictures. Both are named for what they are, never "FID".

import { inOrder, type PictureSource } from '../data/index.ts';
import { toPixels } from '../inference/pixels.ts';
import { frechetDistanceOfFeatures } from '../metrics/frechet.ts';
import { fitRidge, type LinearClassifier } from '../metrics/probe.ts';
import type { Rae } from '../models/rae.ts';
import { cat, noGrad, type Tensor, tidy } from '../tensor/index.ts';

const BATCH = 64;

/** Latents [N, C, h, w] of pictures, with their labels. */
export interface LabelledLatents {
  latents: Tensor;
  labels: number[];
}

/** Encodes a whole source. The caller owns the tensor. */
export async function encodeAll(rae: Rae, source: PictureSource): Promise<LabelledLatents> {
  const parts: Tensor[] = [];
  const labels: number[] = [];
  for await (const { images, labels: some } of inOrder(source, { batch: BATCH })) {
    parts.push(rae.encode(toPixels(images, [some.length, source.side, source.side])));
    labels.push(...some);
  }
  const latents = tidy(() => cat(parts, 0));
  for (const part of parts) part.dispose();
  return { latents, labels };
}

/** A linear classifier of whole latents (ridge regression on all their numbers, standardised). */
export function fitProbe({ latents, labels }: LabelledLatents): LinearClassifier {
  return tidy(() => fitRidge(latents.flatten(1, -1), labels, { lambda: 100, standardise: true }));
}

/** Share of latents [N, C, h, w] that the probe assigns to their label. */
export function probeAccuracy(probe: LinearClassifier, { latents, labels }: LabelledLatents): number {
  return tidy(() => probe.accuracy(latents.flatten(1, -1), labels));
}

/** Latents [N, C, h, w], averaged over positions: [N, C]. */
export function pooledLatents(latents: Tensor): Tensor {
  return latents.flatten(2, -1).mean([2]);
}

/** Frechet distance of two sets of latents, each mean-pooled over positions to [N, C]. */
export function latentFrechet(a: Tensor, b: Tensor): number {
  return tidy(() => frechetDistanceOfFeatures(pooledLatents(a), pooledLatents(b)));
}

/** Mean distance between pictures [N, 3, H, W] of the same class, averaged over classes: how varied they are. */
export function meanPairwiseDistance(pixels: Tensor, labels: readonly number[]): number {
  return noGrad(() =>
    tidy(() => {
      const flat = pixels.flatten(1, -1);
      const classes = [...new Set(labels)];
      const means = classes.flatMap((label) => {
        const rows = labels.flatMap((l, i) => (l === label ? [flat.select(0, i)] : []));
        if (rows.length < 2) return [];
        const x = tidy(() =>
          cat(
            rows.map((row) => row.unsqueeze(0)),
            0,
          ),
        ); // [n, 3HW]
        const sums = x.unsqueeze(0).sub(x.unsqueeze(1)).square().sum([-1]).sqrt().sum().item(); // every pair twice, itself 0
        return [sums / (rows.length * (rows.length - 1))];
      });
      return means.reduce((a, b) => a + b, 0) / means.length;
    }),
  );
}
