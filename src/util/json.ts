// JSON files that people and other programs write: small, and anything may be in them.

import { readFileSync, statSync } from 'node:fs';
import { DataError } from './errors.ts';

const MAX_BYTES = 64 << 20; // real ones have kilobytes; an index of shards has some megabytes

/** The value in a file; DataError names it when it cannot be read, is too large, or holds something else. */
export function readJson(path: string): unknown {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > MAX_BYTES)
      throw new DataError(`${path}: expected at most ${MAX_BYTES} bytes of JSON, received ${size}.`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof DataError) throw error;
    const reason = error instanceof Error && 'code' in error ? error.code : error;
    throw new DataError(`${path}: cannot be read (${String(reason)}).`, { cause: error });
  }
  return parseJson(text, path);
}

/** The value of a text; `where` names it in the error. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`${where}: expected JSON, received something else (${reason.replace(/\s+/g, ' ')}).`, {
      cause,
    });
  }
}

/** The object in a file, or DataError. */
export function readJsonObject(path: string): Record<string, unknown> {
  return asObject(readJson(path), path);
}

/** `value` as an object with string keys; `where` names it in the error. */
export function asObject(value: unknown, where: string): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new DataError(`${where}: expected a JSON object, received ${Array.isArray(value) ? 'a list' : String(value)}.`);
}

/** The list of texts in a file (names of classes), or DataError. */
export function readJsonTexts(path: string): string[] {
  const value = readJson(path);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new DataError(`${path}: expected a JSON list of texts, received something else.`);
}
