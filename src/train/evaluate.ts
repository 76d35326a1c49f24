// Figures on held-out pictures during training. Reconstructions are clamped to [0, 1], as a viewer sees them.

import type { RunConfig } from '../config/index.ts';
import { inOrder, type PictureSource, subset } from '../data/index.ts';
import { type FlowMatchingOptions, flowMatchingLoss, sampleTimes, type TimeOptions } from '../diffusion/index.ts';
import { toPixels } from '../inference/pixels.ts';
import type { Lpips } from '../losses/lpips.ts';
import type { Rae } from '../models/rae.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { Generator, noGrad, type Tensor, tensor, tidy } from '../tensor/index.ts';
import { DataError } from '../util/errors.ts';
import { stopWhenInterrupted } from './interruption.ts';
import { type LatentSet, latentsInOrder } from './latents.ts';
import { type Figures, ReconstructionFigures } from './reconstruction-figures.ts';

/** Pictures that a network sees at once while evaluating: fixed, since kernels round differently for other sizes. */
const BATCH = 32;

/** `count` pictures of a source, the classes in turn: [n, 3, H, W] in [0, 1]. The caller owns them. */
export async function somePictures(source: PictureSource, count: number): Promise<Tensor> {
  const few = subset(source, classesInTurn(source, count));
  for await (const { images, labels } of inOrder(few, { batch: count })) {
    return toPixels(images, [labels.length, source.side, source.side]);
  }
  throw new DataError(`${source.name}: expected pictures to show, none could be read.`);
}

/** Indices of `count` pictures, one of each class before a second of any. */
function classesInTurn(source: PictureSource, count: number): number[] {
  const byClass = new Map<number, number[]>();
  for (let index = 0; index < source.size; index++) {
    const label = source.label(index);
    const found = byClass.get(label);
    if (found) found.push(index);
    else byClass.set(label, [index]);
  }
  const classes = [...byClass.entries()].sort(([a], [b]) => a - b).map(([, indices]) => indices);
  const rounds = Math.max(...classes.map((indices) => indices.length));
  const turns = Array.from({ length: rounds }, (_, round) =>
    classes.flatMap((indices) => indices.slice(round, round + 1)),
  );
  return turns.flat().slice(0, count);
}

/** The figures of reconstruction-figures.ts over all pictures. */
export async function evaluateReconstruction(rae: Rae, source: PictureSource, lpips?: Lpips): Promise<Figures> {
  const figures = new ReconstructionFigures(rae, { lpips });
  try {
    for await (const { images, labels } of inOrder(source, { batch: BATCH })) {
      stopWhenInterrupted();
      noGrad(() =>
        tidy(() => {
          const pixels = toPixels(images, [labels.length, source.side, source.side]);
          const latents = rae.encode(pixels);
          figures.add(pixels, rae.decode(latents).clamp(0, 1), latents);
        }),
      );
    }
    return figures.result();
  } finally {
    figures.dispose();
  }
}

export interface HeldOutLoss {
  config: RunConfig;
  model: Stage2Model;
  heldOut: LatentSet;
  transport: FlowMatchingOptions;
  times: TimeOptions;
}

/** The flow-matching loss on held-out latents, with noise and times that are the same at every call. */
export async function heldOutLoss({ config, model, heldOut, transport, times }: HeldOutLoss): Promise<number> {
  const generator = new Generator(0);
  let sum = 0;
  let count = 0;
  for await (const { labels, latents } of latentsInOrder(heldOut, BATCH)) {
    stopWhenInterrupted();
    const n = labels.length;
    sum += noGrad(() =>
      tidy(() => {
        const y = config.misc.num_classes > 0 ? tensor(labels, { dtype: 'i64' }) : undefined;
        const t = sampleTimes(n, { ...times, generator });
        return flowMatchingLoss((xt, time) => model.forward(xt, time, y), latents(), { ...transport, t, generator })
          .loss.sum()
          .item();
      }),
    );
    count += n;
  }
  return sum / count;
}
