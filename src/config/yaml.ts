// YAML as OmegaConf reads it (YAML 1.1 scalars, so that 2e-4 is a number and `yes` is true), without its dangers: unknown
// tags and duplicate keys are errors, alias bombs are bounded.

import { parseDocument } from 'yaml';
import { ConfigError } from '../util/errors.ts';

/** One YAML document (or a single value, as in --set) by OmegaConf's rules. */
export function parseYaml(text: string, { name }: { name: string }): unknown {
  const document = parseDocument(text, {
    version: '1.1',
    // Of YAML 1.1's tags only the plain ones: OmegaConf reads dates as text, and sets or binary data occur nowhere.
    customTags: (tags) =>
      tags.filter((tag) => typeof tag === 'string' || !/timestamp|binary|set|omap|pairs/.test(tag.tag)),
    uniqueKeys: true,
    stringKeys: true,
    prettyErrors: true,
  });
  const problem = document.errors[0] ?? document.warnings[0]; // an unknown tag is only a warning there
  if (problem) throw new ConfigError(`${name}: not valid: ${problem.message.replace(/\s*\n\s*/g, ' ').trim()}`);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new ConfigError(`${name}: not valid: ${error instanceof Error ? error.message : String(error)}.`);
  }
}
