// --guidance: what pushes the velocity, how far, for which classes and in which interval of t. Without it the configuration's section holds.
//   cfg:1.5                      classifier-free guidance
//   auto:1.42@0.1-0.9            autoguidance where 0.1 <= t <= 0.9
//   cfg:1.5,ring=2,7=3           another scale for some classes, by name or number; 1 is none
//   cfg:1.5@0.2-0.8+auto:1.4     both: their pushes add up

import type { RunConfig } from '../config/index.ts';
import type { Guidance, LabelledVelocity } from '../diffusion/index.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { nullLabelOf } from './generate.ts';
import { parseLabels } from './labels.ts';

export interface GuidanceTermChoice {
  /** One number for all classes, or one for each. */
  scale: number | number[];
  t_min: number;
  t_max: number;
}

/** The terms asked for; none is no guidance. */
export interface GuidanceChoice {
  cfg?: GuidanceTermChoice;
  auto?: GuidanceTermChoice;
}

interface Classes {
  config: RunConfig;
  classes: readonly string[] | undefined;
}

/** Reads the option. ConfigError says what would do. */
export function parseGuidance(text: string, classes: Classes): GuidanceChoice {
  if (text === 'none') return {};
  const choice: GuidanceChoice = {};
  for (const part of text.split('+')) {
    const [, kind, scales = '', low = '0', high = '1'] = /^(cfg|auto):([^@]*)(?:@([\d.]+)-([\d.]+))?$/.exec(part) ?? [];
    const [t_min, t_max] = [low, high].map(Number) as [number, number];
    if (
      (kind !== 'cfg' && kind !== 'auto') ||
      choice[kind] !== undefined ||
      !(t_min >= 0 && t_min < t_max && t_max <= 1)
    )
      throw refused(text);
    choice[kind] = { scale: parseScales(text, scales, classes), t_min, t_max };
  }
  return choice;
}

/** '1.5', or '1.5,ring=2,7=3'. */
function parseScales(text: string, scales: string, { config, classes }: Classes): number | number[] {
  const [first = '', ...others] = scales.split(',');
  const usual = parseScale(text, first);
  if (others.length === 0) return usual;
  const list = Array.from({ length: config.misc.num_classes }, () => usual);
  for (const other of others) {
    const at = other.lastIndexOf('=');
    if (at < 0) throw refused(text);
    const labels = parseLabels(other.slice(0, at), config, classes, '--guidance');
    if (typeof labels === 'string') throw refused(text);
    for (const label of labels) list[label] = parseScale(text, other.slice(at + 1));
  }
  return list;
}

function parseScale(text: string, scale: string): number {
  const value = /^\d+(\.\d*)?$|^\.\d+$/.test(scale.trim()) ? Number(scale) : Number.NaN;
  if (value >= 1) return value;
  throw refused(text);
}

function refused(text: string): ConfigError {
  const what = "'none', 'cfg:SCALE' or 'auto:SCALE', or both with '+' between them";
  const next = "Scales begin at 1, times lie in [0, 1], MIN below MAX: 'cfg:1.5@0.1-0.9', 'cfg:1.5,ring=2+auto:1.4'.";
  return new ConfigError(expected('--guidance', what, text, next));
}

/** The configuration's section as a choice. */
export function configuredGuidance({ guidance: { method, scale, t_min, t_max } }: RunConfig): GuidanceChoice {
  if (scale <= 1) return {};
  return { [method === 'cfg' ? 'cfg' : 'auto']: { scale, t_min, t_max } };
}

/** The terms as the samplers take them. ConfigError for classifier-free guidance of a model without a null label. */
export function guidanceTerms(
  { cfg, auto }: GuidanceChoice,
  { config, generator, guide }: { config: RunConfig; generator: Stage2Model; guide: LabelledVelocity | undefined },
): Guidance {
  const term = ({ scale, t_min, t_max }: GuidanceTermChoice) => ({ scale, interval: [t_min, t_max] as const });
  return {
    ...(cfg && { cfg: { ...term(cfg), nullLabel: nullLabelOf(config, generator) } }),
    ...(auto && guide && { auto: { ...term(auto), guide } }),
  };
}

/** Guidance in words. */
export function describeGuidance({ cfg, auto }: GuidanceChoice): string {
  const words = (name: string, { scale, t_min, t_max }: GuidanceTermChoice) => {
    const scales = typeof scale === 'number' ? [scale] : [...new Set(scale)].sort((a, b) => a - b);
    const range = scales.length === 1 ? `${scales[0]}` : `${scales[0]} to ${scales.at(-1)} by class`;
    return `${name} ${range}${t_min === 0 && t_max === 1 ? '' : ` in t ${t_min} to ${t_max}`}`;
  };
  const terms = [cfg && words('classifier-free guidance', cfg), auto && words('autoguidance', auto)];
  return terms.filter((term) => term !== undefined).join(' and ') || 'no guidance';
}
