// The options with which every verb that samples says how: sampler, steps, where they end, diffusion of an SDE, guidance and its guide.

import { type Command, Option } from 'commander';
import type { RunConfig } from '../config/index.ts';
import {
  adaptiveSamplers,
  type DiffusionForm,
  diffusionForms,
  type Guidance,
  type LastStep,
  type SamplerName,
  samplers,
  sdeSamplers,
} from '../diffusion/index.ts';
import { type SamplerChoice, type SdeChoice, samplerOf } from '../inference/generate.ts';
import {
  configuredGuidance,
  describeGuidance,
  type GuidanceChoice,
  guidanceTerms,
  parseGuidance,
} from '../inference/guidance-choice.ts';
import { loadWeaker } from '../inference/guide.ts';
import type { LoadedGenerator } from '../inference/load-model.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import type { ModelOptions } from './model-options.ts';
import { integerOption } from './shared.ts';

export interface SamplerFlags {
  sampler?: string;
  steps?: number;
  end?: 'reference' | 'zero';
  diffusion?: string;
  lastStep?: string;
  reuseEncoder?: number;
}

export interface SamplingFlags extends ModelOptions, SamplerFlags {
  guidance?: string;
  guide?: string;
  seed: number;
}

/** Adds them to a verb. */
export function withSamplingOptions(verb: Command): Command {
  return verb
    .addOption(
      integerOption('--seed <n>', 'with the index of a picture it determines its noise', { min: 0, default: 0 }),
    )
    .addOption(
      integerOption('--steps <n>', 'grid points with --end reference (50 make 49 steps), steps with --end zero', {
        min: 1,
      }),
    )
    .option('--sampler <name>', 'euler, heun2, ab2, dopri5, euler_maruyama, ... (an unknown one lists all)')
    .addOption(
      new Option('--end <where>', 'where the grid ends: just above 0 as in the reference, or at 0').choices([
        'reference',
        'zero',
      ]),
    )
    .option('--guidance <how>', 'cfg:SCALE or auto:SCALE, cfg:1.5,CLASS=2@MIN-MAX+auto:1.4, or none')
    .option(
      '--guide <model>',
      'the weaker model of auto guidance: a run, one of its checkpoints, or a file of weights',
    );
}

/** Adds what only fresh samples have: diffusion and last step of stochastic samplers, and a reused encoder. */
export function withFreshOptions(verb: Command): Command {
  return verb
    .option('--diffusion <form>', 'of an SDE: sigma, sbdm, decreasing, ..., with :NORM behind it (default sigma:1)')
    .option('--last-step <how>', 'of an SDE: mean, tweedie, euler or none, with :SIZE behind it (default mean:0.04)')
    .addOption(
      integerOption('--reuse-encoder <n>', "run DiT^DH's encoder at every n-th evaluation only: faster, not the same", {
        min: 1,
      }),
    );
}

const SDE_STEPS = 250; // the reference's default
const SDE: SdeChoice = { diffusion: 'sigma', norm: 1, lastStep: 'mean', lastStepSize: 0.04 };

/** The sampler: the flags', else the configuration's. ConfigError for an unknown name, too few steps, and flags that do not go together. */
export function samplerFrom(config: RunConfig, flags: SamplerFlags): SamplerChoice & { reuseEncoder?: number } {
  const { sampler, steps, end, reuseEncoder } = flags;
  if (sampler !== undefined) checkName(sampler);
  const stochastic = sampler === undefined ? config.sampler.mode === 'SDE' : Object.hasOwn(sdeSamplers, sampler);
  const base =
    stochastic === (config.sampler.mode === 'SDE')
      ? samplerOf(config)
      : { method: '', steps: stochastic ? SDE_STEPS : 50, end: 'reference' as const };
  const chosen = { ...base, method: sampler ?? base.method, steps: steps ?? base.steps, end: end ?? base.end };
  if (stochastic && end === 'zero') {
    const next = 'Its last step leads to 0: see --last-step.';
    throw new ConfigError(expected('--end', `'reference' with ${chosen.method}`, end, next));
  }
  if (chosen.end === 'reference' && chosen.steps < 2) {
    const what = 'at least 2 with --end reference, where it counts grid points';
    throw new ConfigError(expected('--steps', what, chosen.steps, stochastic ? undefined : 'Or use --end zero.'));
  }
  if (reuseEncoder !== undefined && reuseEncoder > 1 && adaptiveSamplers.includes(chosen.method as SamplerName)) {
    const next = 'It chooses its steps by differences that reuse would hide.';
    throw new ConfigError(expected('--reuse-encoder', 'a sampler of fixed steps', chosen.method, next));
  }
  const reuse = reuseEncoder !== undefined && { reuseEncoder };
  if (stochastic) return { ...chosen, sde: sdeFrom(samplerSde(base), flags), ...reuse };
  for (const [flag, value] of [
    ['--diffusion', flags.diffusion],
    ['--last-step', flags.lastStep],
  ] as const) {
    if (value === undefined) continue;
    const what = `a stochastic sampler beside it (${Object.keys(sdeSamplers).join(', ')})`;
    throw new ConfigError(expected(flag, what, chosen.method));
  }
  return { ...chosen, ...reuse };
}

function samplerSde(base: Partial<SamplerChoice>): SdeChoice {
  return base.sde ?? SDE;
}

function checkName(sampler: string): void {
  const known = [...Object.keys(samplers), ...Object.keys(sdeSamplers)];
  if (known.includes(sampler)) return;
  const near = sampler === 'heun' ? 'heun2' : nearest(sampler, known);
  throw new ConfigError(
    expected('--sampler', `one of ${known.join(', ')}`, sampler, near && `Did you mean '${near}'?`),
  );
}

/** 'sigma:0.5' and 'tweedie:0.01' over what is set. */
function sdeFrom(base: SdeChoice, { diffusion, lastStep }: SamplerFlags): SdeChoice {
  const [form = base.diffusion, norm = base.norm] = named('--diffusion', diffusion, Object.keys(diffusionForms));
  const [how = base.lastStep, size = base.lastStepSize] = named('--last-step', lastStep, [
    'mean',
    'tweedie',
    'euler',
    'none',
  ]);
  if (!(size > 0 && size < 1) && how !== 'none') {
    throw new ConfigError(expected('--last-step', 'a size between 0 and 1', size, "Such as 'mean:0.04'."));
  }
  return { diffusion: form as DiffusionForm, norm, lastStep: how as LastStep, lastStepSize: size };
}

function named(flag: string, text: string | undefined, known: readonly string[]): [string?, number?] {
  if (text === undefined) return [];
  const [, name = '', value] = /^([a-z-]+)(?::([\d.]+))?$/.exec(text) ?? [];
  const number = value === undefined ? undefined : Number(value);
  if (known.includes(name) && (number === undefined || Number.isFinite(number))) {
    return number === undefined ? [name] : [name, number];
  }
  const near = nearest(name, known);
  const what = `one of ${known.join(', ')}, with ':NUMBER' behind it`;
  throw new ConfigError(expected(flag, what, text, near && near !== name ? `Did you mean '${near}'?` : undefined));
}

/** The sampler in words: '49 euler steps'. */
export function describeSampler({ method, steps, end, sde, reuseEncoder }: SamplerChoice & SamplerFlags): string {
  const reuse = reuseEncoder !== undefined && reuseEncoder > 1 ? `, the encoder at every ${reuseEncoder}` : '';
  if (adaptiveSamplers.includes(method as SamplerName)) return `${method} (chooses its own steps)`;
  const grid = `${end === 'reference' ? steps - 1 : steps} ${method} steps${reuse}`;
  if (sde === undefined) return grid;
  const norm = sde.norm === 1 ? '' : ` times ${sde.norm}`;
  const last = sde.lastStep === 'none' ? '' : `, last step ${sde.lastStep} from ${sde.lastStepSize} before the shift`;
  return `${grid} with ${sde.diffusion} diffusion${norm}${last}`;
}

export interface Guiding {
  choice: GuidanceChoice;
  guidance: Guidance;
  /** The weaker network of autoguidance. */
  guide: Stage2Model | undefined;
}

/** The guidance asked for, else the configuration's, its guide loaded. */
export function guidanceFrom(model: LoadedGenerator, options: SamplingFlags): Guiding {
  const { config } = model;
  const choice = options.guidance === undefined ? configuredGuidance(config) : parseGuidance(options.guidance, model);
  if (options.guide !== undefined && choice.auto === undefined) {
    throw new ConfigError(`--guide: expected --guidance auto:SCALE beside it, received ${describeGuidance(choice)}.`);
  }
  const weaker = choice.auto && loadWeaker(model, config, options);
  const guidance = guidanceTerms(choice, { ...model, guide: weaker?.velocity });
  return { choice, guidance, guide: weaker?.network };
}
