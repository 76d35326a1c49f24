// One picture learned by heart by generators of several widths (RAE paper, section 4.1 and table 3, in miniature): a transformer narrower
// than its tokens cannot, however long it is trained. The velocity noise - latent has the full rank C at every token, and a bottleneck of
// width d lets d of its C directions through at most, so that the loss stays above 1 - d / C.

import {
  type FlowMatchingOptions,
  flowMatchingLoss,
  sampleOde,
  type TimeOptions,
  toVelocity,
} from '../diffusion/index.ts';
import { LightningDiT } from '../models/dit.ts';
import { AdamW } from '../optim/index.ts';
import { backward, full, Generator, keep, noGrad, randn, type Tensor, tidy } from '../tensor/index.ts';
import { applyUpdate } from './update.ts';

export interface OverfitOptions {
  /** Normalised [C, h, w]. */
  latent: Tensor;
  steps: number;
  transport: Required<Pick<FlowMatchingOptions, 'path' | 'prediction'>>;
  times: TimeOptions;
  /** From noise to nearly data, for the samples. */
  grid: readonly number[];
  depth?: number;
  /** Copies of the latent a step, each with its own noise and time. */
  batch?: number;
  lr?: number;
  seed?: number;
  /** Throw from it to stop. */
  onStep?: (width: number, step: number, loss: number) => void;
}

export interface OverfitRow {
  width: number;
  parameters: number;
  /** What the loss cannot fall below: 1 - width / C, or 0. */
  bound: number;
  /** Mean over the last tenth of the steps. */
  loss: number;
  /** Distance of a sample to the latent, over the latent's length. */
  error: number;
  /** That sample [C, h, w]; the caller frees it. */
  sample: Tensor;
}

/** Half of the token's width, the width itself, and half as much again, as multiples of 16. */
export function overfitWidths(channels: number): number[] {
  return [0.5, 1, 1.5].map((share) => Math.max(16, 16 * Math.round((channels * share) / 16)));
}

/** Trains a generator of this width and says how far it came. */
export function overfit(width: number, options: OverfitOptions): OverfitRow {
  const { latent, steps, transport, times, depth = 4, batch = 16, lr = 1e-3, seed = 0 } = options;
  const [C, h, w] = latent.dims(3);
  const generator = new Generator(seed);
  const model = new LightningDiT({
    inputSize: [h, w],
    inChannels: C,
    hiddenSize: width,
    depth,
    numHeads: 4,
    numClasses: 0,
    generator,
  });
  const params = model.namedParameters();
  const optimizer = new AdamW(params, { lr, betas: [0.9, 0.95] });
  const losses: number[] = [];
  try {
    for (let step = 0; step < steps; step++) {
      tidy(() => {
        const data = latent.expand([batch, C, h, w]);
        const { loss } = flowMatchingLoss((xt, t) => model.forward(xt, t, undefined), data, {
          ...transport,
          ...times,
          generator,
        });
        const mean = loss.mean();
        backward(mean);
        losses.push(mean.item());
        applyUpdate({ params, optimizer, step, lr, clip: 1, loss: losses.at(-1)! });
      });
      options.onStep?.(width, step + 1, losses.at(-1)!);
    }
    const sample = noGrad(() => tidy(() => keep(sampleOf(model, options, new Generator(seed + 1)))));
    const error = tidy(() => sample.sub(latent).square().sum().sqrt().item() / latent.square().sum().sqrt().item());
    const last = losses.slice(-Math.max(1, Math.floor(steps / 10)));
    return {
      width,
      parameters: model.numParameters(),
      bound: Math.max(0, 1 - width / C),
      loss: last.reduce((a, b) => a + b) / last.length,
      error,
      sample,
    };
  } finally {
    optimizer.dispose();
    model.dispose();
  }
}

/** One sample by Euler's steps: [C, h, w]. */
function sampleOf(model: LightningDiT, { transport, grid }: OverfitOptions, generator: Generator): Tensor {
  const { path, prediction } = transport;
  const velocity = (x: Tensor, t: number) => {
    const time = full([1], t);
    return toVelocity(path, prediction, model.forward(x, time, undefined), x, time);
  };
  const noise = randn([1, model.inChannels, ...model.inputSize], { generator });
  return sampleOde('euler', velocity, noise, { times: [...grid] })
    .x.squeeze(0)
    .clone();
}
