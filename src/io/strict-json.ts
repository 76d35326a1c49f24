// A JSON reader for headers of untrusted files. Differs from JSON.parse: duplicate keys are an error (JSON.parse keeps the
// last one silently), integers written as 4.0 stay distinguishable from 4, objects come back as Maps (no `__proto__`),
// and nesting is limited.

import { DataError } from '../util/errors.ts';

/** `bigint` for integers beyond 2^53; `Literal` for every number that is not a plain integer. */
export type StrictJson = null | boolean | string | number | bigint | Literal | StrictJson[] | Map<string, StrictJson>;

/** A number that is not a plain integer, as it was written. */
export class Literal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const MAX_DEPTH = 32;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPED = /[\\\p{Cc}]/u; // backslashes, and control characters, which JSON forbids
const WORD = /true|false|null/y;

/** Of JSON: blank, tab, line feed, carriage return. */
const isSpace = (code: number): boolean => code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;

/** The value of a JSON text; DataError "NAME: expected X at character N, ..." otherwise. */
export function parseStrictJson(text: string, name: string): StrictJson {
  let at = 0;

  const fail = (what: string): never => {
    const found = at >= text.length ? 'the end' : JSON.stringify(text.slice(at, at + 12));
    throw new DataError(`${name}: expected ${what} at character ${at} of the JSON header, received ${found}.`);
  };
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const space = (): void => {
    while (isSpace(text.charCodeAt(at))) at++;
  };
  const take = (character: string): boolean => {
    space();
    if (text[at] !== character) return false;
    at++;
    return true;
  };
  // Escapes by hand, not by one pattern: a repeated group over a header of 100 MB would exhaust the pattern matcher's stack.
  const string = (): string => {
    if (!take('"')) return fail('a string');
    const plain = text.slice(at, Math.max(at, text.indexOf('"', at)));
    if (text[at + plain.length] === '"' && !ESCAPED.test(plain)) {
      at += plain.length + 1;
      return plain;
    }
    const start = at - 1;
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    try {
      return JSON.parse(text.slice(start, ++at)) as string;
    } catch {
      at = start;
      return fail('a string');
    }
  };

  const object = (depth: number): Map<string, StrictJson> => {
    const result = new Map<string, StrictJson>();
    if (take('}')) return result;
    do {
      const key = string();
      if (result.has(key)) throw new DataError(`${name}: expected unique keys, received '${key}' twice in the header.`);
      if (!take(':')) fail("':'");
      result.set(key, value(depth));
    } while (take(','));
    return take('}') ? result : fail("',' or '}'");
  };
  const array = (depth: number): StrictJson[] => {
    const result: StrictJson[] = [];
    if (take(']')) return result;
    do result.push(value(depth));
    while (take(','));
    return take(']') ? result : fail("',' or ']'");
  };
  const value = (depth: number): StrictJson => {
    if (depth > MAX_DEPTH) fail(`at most ${MAX_DEPTH} levels of nesting`);
    if (take('{')) return object(depth + 1);
    if (take('[')) return array(depth + 1);
    if (text[at] === '"') return string();
    const word = match(WORD);
    if (word !== undefined) return word === 'null' ? null : word === 'true';
    const number = match(NUMBER);
    if (number === undefined) return fail('a value');
    if (!/^-?[0-9]+$/.test(number)) return new Literal(number);
    const plain = Number(number);
    return Number.isSafeInteger(plain) ? plain : BigInt(number);
  };

  const result = value(0);
  space();
  if (at < text.length) fail('nothing more');
  return result;
}
