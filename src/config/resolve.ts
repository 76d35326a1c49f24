// From what was written to a complete configuration: old spellings, schema, values that follow from each other, checks.

import { ConfigError } from '../util/errors.ts';
import { checkConfig } from './checks.ts';
import { explainIssues } from './explain.ts';
import { modernise } from './legacy.ts';
import { type ParsedConfig, type RunConfig, type RunConfigInput, runSchema } from './schema.ts';

// Where the reference's two trainers differ in their code defaults (spec 7 and 12).
const STAGE_DEFAULTS = {
  rae: { epochs: 200, ema_decay: 0.9999, sample_every: 1250 },
  dit: { epochs: 1400, ema_decay: 0.9995, sample_every: 2500 },
};

/** Fill in every default and check the fields against each other. ConfigError lists every complaint with its dotted path. */
export function resolveConfig(input: RunConfigInput, { name = 'configuration' }: { name?: string } = {}): RunConfig {
  return resolveUnknown(input, { name });
}

/** The same for a value of unknown shape (a parsed YAML file). */
export function resolveUnknown(input: unknown, { name }: { name: string }): RunConfig {
  const modern = modernise(input, { name });
  const parsed = runSchema.safeParse(modern);
  if (!parsed.success) throw complaint(name, explainIssues(parsed.error, { schema: runSchema, value: modern }));
  const config = prune(derive(parsed.data));
  const problems = checkConfig(config);
  if (problems.length > 0) throw complaint(name, problems);
  return config;
}

function derive(config: ParsedConfig): RunConfig {
  const { stage_2, misc, training, data, losses } = config;
  const defaults = stage_2 === undefined ? STAGE_DEFAULTS.rae : STAGE_DEFAULTS.dit;
  const num_classes = misc.num_classes ?? stage_2?.params.num_classes ?? 1000;
  const latent_size = misc.latent_size ?? latentOf(stage_2);
  const guide = config.guidance.guidance_model;
  return {
    ...config,
    ...(stage_2 && { stage_2: withClasses(stage_2, num_classes) }),
    guidance: { ...config.guidance, ...(guide && { guidance_model: withClasses(guide, num_classes) }) },
    misc: {
      ...misc,
      latent_size,
      num_classes,
      null_label: misc.null_label ?? num_classes,
      time_dist_shift_dim: misc.time_dist_shift_dim ?? latent_size?.reduce((a, b) => a * b, 1),
    },
    training: {
      ...training,
      epochs: training.epochs ?? (training.steps === undefined ? defaults.epochs : undefined),
      ema_decay: training.ema_decay ?? defaults.ema_decay,
      sample_every: training.sample_every ?? defaults.sample_every,
    },
    data: {
      ...data,
      crop: data.crop ?? (stage_2 === undefined ? 'random' : 'center'),
      flip: data.flip ?? stage_2 !== undefined,
    },
    losses: { ...losses, lpips: losses.lpips ?? config.gan?.loss.perceptual_weight ?? 1 },
  };
}

type Stage2 = NonNullable<ParsedConfig['stage_2']>;

function withClasses<T extends Stage2>(model: T, num_classes: number): T {
  return { ...model, params: { ...model.params, num_classes: model.params.num_classes ?? num_classes } };
}

function latentOf(model: Stage2 | undefined): [number, number, number] | undefined {
  if (model === undefined) return undefined;
  const [height, width = height] = [model.params.input_size].flat() as [number, number?];
  return [model.params.in_channels, height, width];
}

/** Without keys whose value is undefined, so that a configuration equals itself after saving and loading. */
function prune<T>(value: T): T {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  const kept = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(kept.map(([key, inner]) => [key, prune(inner)])) as T;
}

function complaint(name: string, problems: readonly string[]): ConfigError {
  const shown = problems.slice(0, 8);
  const more = problems.length > shown.length ? [`(and ${problems.length - shown.length} more)`] : [];
  return new ConfigError(`${name}: ${[...shown, ...more].join('\n')}`);
}
