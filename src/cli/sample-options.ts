// The options of rae sample that have a syntax of their own: guidance, and what the configuration's sampler becomes with them.

import type { RunConfig } from '../config/index.ts';
import { adaptiveSamplers, type SamplerName, samplers } from '../diffusion/index.ts';
import { type SamplingOptions, samplerOf } from '../inference/generate.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

export interface SamplerFlags {
  sampler?: string;
  steps?: number;
  end?: 'reference' | 'zero';
}

type Guiding = RunConfig['guidance'];

/**
 * `cfg:1.5`, `auto:1.42@0-1` (the interval of t in which it acts), or `none`, in place of the configuration's guidance.
 * ConfigError for anything else.
 */
export function parseGuidance(text: string, guidance: Guiding): Guiding {
  if (text === 'none') return { ...guidance, scale: 1 };
  const [, kind, scale, low = '0', high = '1'] = /^(cfg|auto):([\d.]+)(?:@([\d.]+)-([\d.]+))?$/.exec(text) ?? [];
  const [w, t_min, t_max] = [scale, low, high].map(Number) as [number, number, number];
  if (kind === undefined || !(w >= 1) || !(t_min >= 0 && t_min < t_max && t_max <= 1)) {
    const what = "'none', 'cfg:SCALE' or 'auto:SCALE', with '@MIN-MAX' behind it for an interval of t";
    throw new ConfigError(
      expected('--guidance', what, text, "Scales begin at 1, times lie in [0, 1]: 'cfg:1.5@0.1-0.9'."),
    );
  }
  return { ...guidance, method: kind === 'cfg' ? 'cfg' : 'autoguidance', scale: w, t_min, t_max };
}

/** The sampler: the flags', else the configuration's. ConfigError for an unknown name and for too few steps. */
export function samplerFrom(
  config: RunConfig,
  { sampler, steps, end }: SamplerFlags,
): Pick<SamplingOptions, 'method' | 'steps' | 'end' | 'rtol' | 'atol'> {
  if (sampler !== undefined && !Object.hasOwn(samplers, sampler)) {
    const near = sampler === 'heun' ? 'heun2' : nearest(sampler, Object.keys(samplers));
    const what = `one of ${Object.keys(samplers).join(', ')}`;
    throw new ConfigError(expected('--sampler', what, sampler, near && `Did you mean '${near}'?`));
  }
  const base =
    config.sampler.mode === 'SDE' && sampler !== undefined
      ? { method: sampler, steps: 50, end: 'reference' as const }
      : samplerOf(config);
  const chosen = { ...base, method: sampler ?? base.method, steps: steps ?? base.steps, end: end ?? base.end };
  if (chosen.end === 'reference' && chosen.steps < 2) {
    throw new ConfigError(
      expected(
        '--steps',
        'at least 2 with --end reference, where it counts grid points',
        chosen.steps,
        'Or use --end zero.',
      ),
    );
  }
  return chosen;
}

/** The sampler in words: '49 euler steps'. */
export function describeSampler({ method, steps, end }: Pick<SamplingOptions, 'method' | 'steps' | 'end'>): string {
  if (adaptiveSamplers.includes(method as SamplerName)) return `${method} (chooses its own steps)`;
  return `${end === 'reference' ? steps - 1 : steps} ${method} steps`;
}

/** Guidance in words. */
export function describeGuidance({ method, scale, t_min, t_max }: Guiding): string {
  if (scale <= 1) return 'no guidance';
  const within = t_min === 0 && t_max === 1 ? '' : ` in t ${t_min} to ${t_max}`;
  return `${method === 'cfg' ? 'classifier-free guidance' : 'autoguidance'} ${scale}${within}`;
}
