// Other spellings of the same thing, rewritten before the schema sees them: dashed guidance keys, batch_size, and the flat
// optimiser and schedule keys of the reference's older training files (spec 12). A value given twice must agree.

import { show } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

type Section = Record<string, unknown>;

// [section, old key, new path below the section]
const RENAMES: readonly (readonly [string, string, readonly string[]])[] = [
  ['guidance', 't-min', ['t_min']],
  ['guidance', 't-max', ['t_max']],
  ['training', 'batch_size', ['global_batch_size']],
  ['training', 'beta', ['optimizer', 'betas']],
  ['training', 'wd', ['optimizer', 'weight_decay']],
  ['training', 'base_lr', ['scheduler', 'base_lr']],
  ['training', 'final_lr', ['scheduler', 'final_lr']],
  ['training', 'schedule_type', ['scheduler', 'type']],
  ['training', 'decay_start_epoch', ['scheduler', 'warmup_epochs']],
  ['training', 'decay_end_epoch', ['scheduler', 'decay_end_epoch']],
];

/** A copy with today's spellings. Values that are no mapping pass through for the schema to refuse. */
export function modernise(input: unknown, { name }: { name: string }): unknown {
  if (!isSection(input)) return input;
  const result: Section = { ...input };
  for (const [section, oldKey, path] of RENAMES) {
    const part = result[section];
    if (!isSection(part) || !Object.hasOwn(part, oldKey)) continue;
    const { [oldKey]: value, ...rest } = part;
    result[section] = set(rest, path, value, `${name}: ${section}.${oldKey}`);
  }
  const { sampler } = result;
  if (isSection(sampler) && sampler.mode === undefined) result.sampler = { mode: 'ODE', ...sampler };
  return result;
}

function set(section: Section, path: readonly string[], value: unknown, where: string): Section {
  const [key = '', ...rest] = path;
  const present = section[key];
  if (rest.length > 0) return { ...section, [key]: set(isSection(present) ? present : {}, rest, value, where) };
  if (present !== undefined && JSON.stringify(present) !== JSON.stringify(value)) {
    throw new ConfigError(
      `${where}: expected the same value as ${key} (${show(present)}), received ${show(value)}. Keep one.`,
    );
  }
  return { ...section, [key]: value };
}

function isSection(value: unknown): value is Section {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
