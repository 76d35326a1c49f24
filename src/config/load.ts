// Reads configuration files as OmegaConf does: YAML 1.1 scalars (2e-4 is a number, `yes` is true) and ${dotted.path}
// interpolation; stricter in that tags and duplicate keys are refused and nothing is ever built from a name.

import { readFileSync, statSync } from 'node:fs';
import { Document, visit } from 'yaml';
import { ConfigError } from '../util/errors.ts';
import { interpolate } from './interpolate.ts';
import { applyOverrides } from './override.ts';
import { resolveUnknown } from './resolve.ts';
import type { RunConfig } from './schema.ts';
import { parseYaml } from './yaml.ts';

const MAX_BYTES = 1_000_000; // real files have 2 to 5 kB

/** A complete configuration from a YAML file, `--set` changes applied. */
export function loadConfig(path: string, { set = [] }: { set?: readonly string[] } = {}): RunConfig {
  return resolveUnknown(applyOverrides(readConfigFile(path), set), { name: path });
}

/** The mapping in a YAML file, interpolated but without defaults. ConfigError names file, line and reason. */
export function readConfigFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    if (statSync(path).size > MAX_BYTES) throw new ConfigError(`${path}: expected at most ${MAX_BYTES} bytes of YAML.`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : error;
    throw new ConfigError(`${path}: cannot be read (${code === 'ENOENT' ? 'no such file' : String(code)}).`, {
      cause: error,
    });
  }
  return parseConfigText(text, { name: path });
}

/** The same for text. */
export function parseConfigText(text: string, { name }: { name: string }): Record<string, unknown> {
  const value = parseYaml(text, { name });
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const received = value === null ? 'an empty file' : Array.isArray(value) ? 'a list' : `'${String(value)}'`;
    throw new ConfigError(`${name}: expected a mapping with stage_1 or mae at the top level, received ${received}.`);
  }
  if (!('stage_1' in value) && !('mae' in value)) {
    throw new ConfigError(
      `${name}: expected stage_1 (or mae) at the top level, received ${Object.keys(value).join(', ') || 'nothing'}.`,
    );
  }
  return interpolate(value as Record<string, unknown>, { name });
}

/** The text that is saved as config.yaml; reading it back gives the same configuration. */
export function formatConfig(config: RunConfig): string {
  const document = new Document(config, { version: '1.1', aliasDuplicateObjects: false });
  visit(document, {
    Seq(_, node) {
      node.flow = true; // [0.9, 0.95] on one line
    },
  });
  return document.toString({ lineWidth: 120, flowCollectionPadding: false });
}
