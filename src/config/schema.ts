// The run configuration: the reference's OmegaConf schema (spec, appendix B) with sections of our own beside it, so that one
// schema serves its YAML files and our training runs alike.
//   reference: stage_1, stage_2, transport, sampler, guidance, misc, training, eval, gan
//   ours:      data (pictures), losses (stage 1 without a GAN), mae (pretraining of an encoder)
// A recipe writes the `RunConfigInput` it cares about and returns resolveConfig(input): a `RunConfig` in which every default
// is filled in, checked, and saved as config.yaml with the run. Which sections are set tells the stage: `mae` for an encoder,
// stage_1 alone for a decoder, stage_2 for a generator.

import { z } from 'zod';
import { gan, losses, mae, stage1 } from './stage-1.ts';
import { guidance, misc, sampler, stage2, transport } from './stage-2.ts';
import { data, evaluation, training } from './training.ts';

export const runSchema = z.strictObject({
  stage_1: stage1.prefault({}),
  stage_2: stage2.optional(),
  transport: transport.prefault({}),
  sampler: sampler.prefault({ mode: 'ODE', params: { sampling_method: 'euler', num_steps: 50 } }),
  guidance: guidance.prefault({}),
  misc: misc.prefault({}),
  training: training.prefault({}),
  eval: evaluation.optional(),
  gan: gan.optional(),
  data: data.prefault({}),
  losses: losses.prefault({}),
  mae: mae.optional(),
});

/** What a YAML file or a recipe may write: everything optional but the sizes of a model that is given. */
export type RunConfigInput = z.input<typeof runSchema>;
/** What the schema alone yields, before values are derived from each other. */
export type ParsedConfig = z.output<typeof runSchema>;
export type Stage2Config = z.output<typeof stage2>;
export type MaeConfig = z.output<typeof mae>;
export type DecoderConfig = NonNullable<ParsedConfig['stage_1']['params']['decoder_config']>;

type Filled<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: NonNullable<T[P]> };

/** A complete, checked configuration. Keys stay optional only where absence means something. */
export type RunConfig = Omit<ParsedConfig, 'training' | 'data' | 'losses' | 'misc'> & {
  training: Filled<ParsedConfig['training'], 'ema_decay' | 'sample_every'>;
  data: Filled<ParsedConfig['data'], 'crop' | 'flip'>;
  losses: Filled<ParsedConfig['losses'], 'lpips'>;
  misc: Filled<ParsedConfig['misc'], 'num_classes' | 'null_label'>;
};
