// Python literals as npy headers hold them: dicts with string keys, tuples and lists, strings, integers, True, False, None.
// Anything else (names, calls, operators) is refused: this is a parser, not an evaluator.

import { DataError } from '../util/errors.ts';

export type PythonLiteral = null | boolean | number | string | PythonLiteral[] | Map<string, PythonLiteral>;

const MAX_DEPTH = 16;
const TOKEN = /\s*(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(-?\d{1,18})L?(?![\w.])|(True|False|None)(?!\w)|([{}()[\],:]))/y;

/** Tuples and lists both come back as arrays. DataError names the file and the place. */
export function parsePythonLiteral(text: string, name: string): PythonLiteral {
  const tokens = tokenize(text, name);
  let at = 0;

  const fail = (): never => {
    throw new DataError(
      `${name}: expected a plain Python literal in the header, received ${JSON.stringify(text.trim().slice(0, 60))}.`,
    );
  };
  const take = (sign: string): boolean => {
    if (tokens[at]?.sign !== sign) return false;
    at++;
    return true;
  };
  const sequence = <T>(close: string, item: () => T): T[] => {
    const items: T[] = [];
    while (!take(close)) {
      items.push(item());
      if (!take(',') && tokens[at]?.sign !== close) fail();
    }
    return items;
  };
  const value = (depth: number): PythonLiteral => {
    if (depth > MAX_DEPTH) fail();
    if (take('{')) {
      const pairs = sequence('}', (): [string, PythonLiteral] => {
        const key = value(depth + 1);
        return typeof key === 'string' && take(':') ? [key, value(depth + 1)] : fail();
      });
      const map = new Map(pairs);
      return map.size === pairs.length ? map : fail();
    }
    if (take('(')) return sequence(')', () => value(depth + 1));
    if (take('[')) return sequence(']', () => value(depth + 1));
    const token = tokens[at++];
    return token === undefined || token.sign !== undefined ? fail() : token.value;
  };

  const result = value(0);
  return at === tokens.length ? result : fail();
}

interface Token {
  sign?: string | undefined;
  value: null | boolean | number | string;
}

function tokenize(text: string, name: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) {
      if (text.slice(from).trim() === '') return tokens;
      throw new DataError(
        `${name}: expected a plain Python literal in the header, received ${JSON.stringify(text.slice(from, from + 40).trim())}.`,
      );
    }
    const [, single, double, integer, word, sign] = match;
    const constants: Record<string, null | boolean> = { True: true, False: false, None: null };
    tokens.push({
      sign,
      value: single ?? double ?? (integer !== undefined ? Number(integer) : (constants[word ?? ''] ?? null)),
    });
  }
  return tokens;
}
