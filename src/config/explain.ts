// Turns schema complaints into sentences: dotted path, what was expected, what was received, the nearest known key.

import type { z } from 'zod';
import { nearest, show } from '../util/check.ts';

type Schema = z.core.$ZodType;

/** One line per complaint: "sampler.params.num_steps: expected a number, received 'many'." */
export function explainIssues(error: z.ZodError, { schema, value }: { schema: Schema; value: unknown }): string[] {
  return error.issues.flatMap((issue) => explain(issue, { schema, value }));
}

function explain(issue: z.core.$ZodIssue, root: { schema: Schema; value: unknown }): string[] {
  const where = issue.path.map(String).join('.') || 'the configuration';
  const received = issue.path.reduce<unknown>(child, root.value);
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(root, issue.path);
    return issue.keys.map((key) => {
      const name = [...issue.path, key].map(String).join('.');
      const near = nearest(key, known);
      return `${name}: unknown key. ${near ? `Did you mean '${near}'?` : `Known keys: ${known.join(', ')}.`}`;
    });
  }
  const got = received === undefined ? 'nothing' : show(received);
  return [`${where}: expected ${wanted(issue)}, received ${got}.${suggestion(issue, received)}`];
}

function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return (
        {
          int: 'an integer',
          number: 'a number',
          object: 'a mapping',
          tuple: 'a list',
          string: 'text',
          boolean: 'true or false',
        }[issue.expected as string] ?? `a value of type ${issue.expected}`
      );
    case 'invalid_value':
      return issue.values.length === 1
        ? `'${String(issue.values[0])}'`
        : `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return issue.origin === 'array'
        ? `a list of ${issue.minimum} values`
        : `${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'array'
        ? `a list of ${issue.maximum} values`
        : `${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`;
    case 'invalid_union':
      return issue.discriminator === undefined
        ? 'another kind of value'
        : `one of ${unionNames(issue).join(', ')} as '${issue.discriminator}'`;
    case 'invalid_format':
      return issue.message.replace(/^expected /, '');
    default:
      return issue.message;
  }
}

function unionNames(issue: z.core.$ZodIssueInvalidUnion): string[] {
  return 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : ['the known names'];
}

function suggestion(issue: z.core.$ZodIssue, received: unknown): string {
  const names = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const near = typeof received === 'string' && names.length > 1 ? nearest(received, names) : undefined;
  return near ? ` Did you mean '${near}'?` : '';
}

function child(value: unknown, key: PropertyKey): unknown {
  return value !== null && typeof value === 'object' ? (value as Record<PropertyKey, unknown>)[key] : undefined;
}

/** Keys that the object schema at `path` knows; unions are decided by their discriminator in the value. */
function keysAt(root: { schema: Schema; value: unknown }, path: readonly PropertyKey[]): string[] {
  let { value } = root;
  let schema = unwrap(root.schema, value);
  for (const key of path) {
    value = child(value, key);
    const def = schema._zod.def as unknown as { shape?: Record<PropertyKey, Schema> };
    const inner = def.shape?.[key];
    if (inner === undefined) return [];
    schema = unwrap(inner, value);
  }
  const { shape } = schema._zod.def as unknown as { shape?: Record<string, Schema> };
  return Object.keys(shape ?? {});
}

/** Strip defaults, optionals and transforms; pick the branch of a discriminated union. */
function unwrap(schema: Schema, value: unknown): Schema {
  const def = schema._zod.def as unknown as {
    innerType?: Schema;
    in?: Schema;
    options?: Schema[];
    discriminator?: string;
  };
  if (def.innerType) return unwrap(def.innerType, value);
  if (def.in) return unwrap(def.in, value);
  if (def.options && def.discriminator !== undefined) {
    const name = child(value, def.discriminator);
    const branch = def.options.find((option) => {
      const { shape } = option._zod.def as unknown as { shape: Record<string, Schema> };
      const literal = shape[def.discriminator ?? '']?._zod.def as unknown as { values?: unknown[] };
      return literal?.values?.includes(name);
    });
    if (branch) return unwrap(branch, value);
  }
  return schema;
}
