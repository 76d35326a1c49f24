// Guidance ready for the sampler: the weaker model of autoguidance loaded from what names it, or from what the configuration names.

import type { RunConfig } from '../config/index.ts';
import type { Guidance, LabelledVelocity } from '../diffusion/index.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { castProducts } from '../nn/index.ts';
import { ConfigError } from '../util/errors.ts';
import type { Precision } from './batches.ts';
import { loadGenerator } from './build.ts';
import { guidanceOf, labelled } from './generate.ts';
import { type LoadedGenerator, loadGuide } from './load-model.ts';

/** The guidance of `config` for `model`, and the weaker model where it has one; `guide` names the weaker model (a run, a checkpoint, a file of weights). */
export function loadGuidance(
  model: LoadedGenerator,
  config: RunConfig,
  { guide, precision }: { guide?: string | undefined; precision?: Precision | undefined },
): { guidance: Guidance; guide?: Stage2Model } {
  const wanted = config.guidance.method === 'autoguidance' && config.guidance.scale > 1;
  if (!wanted) return { guidance: guidanceOf(config, model.generator) };
  const weaker = loadWeaker(model, config, { guide, precision });
  return { guidance: guidanceOf(config, model.generator, weaker.velocity), guide: weaker.network };
}

/** The weaker model of autoguidance: the one that `guide` names, else the one that the configuration names. */
export function loadWeaker(
  model: LoadedGenerator,
  config: RunConfig,
  { guide, precision }: { guide?: string | undefined; precision?: Precision | undefined },
): { velocity: LabelledVelocity; network: Stage2Model } {
  const weaker = guide === undefined ? configuredGuide(config) : loadGuide(guide, model);
  if (precision === 'bf16') castProducts(weaker.generator);
  return { velocity: labelled(weaker.config, weaker.generator, precision), network: weaker.generator };
}

/** The guide that the configuration itself names, as the reference's do. */
function configuredGuide(config: RunConfig) {
  const { guidance_model } = config.guidance;
  if (guidance_model?.ckpt === undefined) {
    throw new ConfigError(
      '--guide: expected the weaker model of auto guidance, received none. Name a run or an earlier checkpoint.',
    );
  }
  const own = { ...config, stage_2: guidance_model } as RunConfig;
  return { config: own, generator: loadGenerator(own, guidance_model.ckpt) };
}
