// The one place that words a complaint: "where: expected X, received Y. Next step."

/** The sentence of every argument error. `received` is shown shortened; strings are quoted. */
export function expected(where: string, what: string, received: unknown, nextStep?: string): string {
  return `${where}: expected ${what}, received ${show(received)}.${nextStep ? ` ${nextStep}` : ''}`;
}

/** A short, single-line rendering of any value for an error message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `'${value.slice(0, 57)}...'` : `'${value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map(show).join(', ');
    return `[${shown}${value.length > 8 ? ', ...' : ''}]`;
  }
  if (typeof value === 'function') return value.name ? `function ${value.name}` : 'a function';
  if (value !== null && typeof value === 'object') {
    const name = value.constructor?.name;
    return name && name !== 'Object' ? `a ${name}` : 'an object';
  }
  return String(value);
}

/** The known name closest to a mistyped one, or undefined when nothing is near (edit distance at most 40 %). */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(name.length * 0.4)) + 1;
  for (const candidate of known) {
    const d = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
