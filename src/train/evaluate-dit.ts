// How far a generator is, on held-out latents: the loss at noise and times that are always the same, and by option the Frechet distance of
// mean-pooled latents (not FID: no Inception), unguided and, where the configuration guides, guided.

import type { RunConfig } from '../config/index.ts';
import { generateLatents, type SamplingOptions } from '../inference/generate.ts';
import { chooseLabels } from '../inference/labels.ts';
import { frechetDistanceOfFeatures } from '../metrics/frechet.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { cat, keep, noGrad, type Tensor, tidy } from '../tensor/index.ts';
import { type HeldOutLoss, heldOutLoss } from './evaluate.ts';
import { stopWhenInterrupted } from './interruption.ts';
import { pooledLatents } from './judge.ts';
import { type LatentSet, latentsInOrder } from './latents.ts';

/** Latents that a network is given at once: fixed, since kernels round differently for other sizes. */
const BATCH = 32;

export interface DitEvaluation extends Omit<HeldOutLoss, 'model'> {
  /** How samples are drawn, guidance included. */
  sampling: Omit<SamplingOptions, 'batch'>;
}

export interface DitEvaluator {
  /** Names of the figures, for one model. */
  names: string[];
  /** Figures of `model`, in evaluation mode. */
  evaluate(model: Stage2Model): Promise<Record<string, number>>;
  dispose(): void;
}

/** Held-out features are pooled once, at the first evaluation. */
export function ditEvaluator({ sampling, ...options }: DitEvaluation): DitEvaluator {
  const { config, heldOut } = options;
  const samples = config.eval?.frechet_samples ?? 0;
  const guided = Object.keys(sampling.guidance).length > 0;
  let real: Tensor | undefined;
  const names = ['loss', ...(samples > 0 ? ['frechet', ...(guided ? ['frechet_guided'] : [])] : [])];
  // Six digits: LAPACK's last ones depend on where in memory a matrix lies, and a resumed run is to write the same figures.
  const distance = (model: Stage2Model, guidance: SamplingOptions['guidance']) =>
    tidy(() => {
      const features = pooledSamples(config, model, samples, { ...sampling, guidance });
      return Number(frechetDistanceOfFeatures(features, real!).toPrecision(6));
    });
  return {
    names,
    async evaluate(model) {
      const figures: Record<string, number> = { loss: await heldOutLoss({ ...options, model }) };
      if (samples === 0) return figures;
      real ??= await pooledSet(heldOut);
      figures.frechet = distance(model, {});
      if (guided) figures.frechet_guided = distance(model, sampling.guidance);
      return figures;
    },
    dispose: () => real?.dispose(),
  };
}

/** Samples of all classes in turn, always from the same noise, pooled to [N, C]. */
function pooledSamples(
  config: RunConfig,
  model: Stage2Model,
  num: number,
  sampling: Omit<SamplingOptions, 'batch'>,
): Tensor {
  return noGrad(() =>
    tidy(() => {
      const labels = chooseLabels(config, 'all', { num, seed: 0 });
      const { latents } = generateLatents(config, model, labels, {
        ...sampling,
        batch: BATCH,
        onStep: stopWhenInterrupted,
      });
      return pooledLatents(latents);
    }),
  );
}

/** The whole set, pooled to [N, C]. The caller frees it. */
async function pooledSet(set: LatentSet): Promise<Tensor> {
  const parts: Tensor[] = [];
  for await (const { latents } of latentsInOrder(set, BATCH)) {
    stopWhenInterrupted();
    parts.push(noGrad(() => tidy(() => keep(pooledLatents(latents())))));
  }
  const all = tidy(() => keep(cat(parts, 0)));
  for (const part of parts) part.dispose();
  return all;
}
