// `--set key.path=value`: the value is read as YAML (numbers, lists, null), missing sections are made, list items are
// reached by index. Unknown keys are found later, by the schema.

import { show } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { parseYaml } from './yaml.ts';

/** A copy of `input` with every "a.b.c=value" applied in order. */
export function applyOverrides(input: Record<string, unknown>, sets: readonly string[]): Record<string, unknown> {
  return sets.reduce<Record<string, unknown>>((config, assignment) => {
    const equals = assignment.indexOf('=');
    const path = assignment.slice(0, equals).trim().split('.');
    if (equals < 1 || path.includes('') || path.includes('__proto__')) {
      throw new ConfigError(`--set: expected key.path=value, received ${show(assignment)}.`);
    }
    const value = parseYaml(assignment.slice(equals + 1), { name: `--set ${path.join('.')}` });
    return put(config, path, value, `--set ${path.join('.')}`) as Record<string, unknown>;
  }, input);
}

function put(node: unknown, [key = '', ...rest]: readonly string[], value: unknown, where: string): unknown {
  if (Array.isArray(node)) {
    const index = Number(key);
    if (!Number.isInteger(index) || index < 0 || index >= node.length) {
      throw new ConfigError(`${where}: expected an index from 0 to ${node.length - 1}, received ${show(key)}.`);
    }
    return node.with(index, rest.length > 0 ? put(node[index], rest, value, where) : value);
  }
  if (node !== undefined && node !== null && typeof node !== 'object') {
    throw new ConfigError(`${where}: expected a mapping above '${key}', received ${show(node)}.`);
  }
  const section = (node ?? {}) as Record<string, unknown>;
  return { ...section, [key]: rest.length > 0 ? put(section[key], rest, value, where) : value };
}
