// OmegaConf's ${dotted.path}: a whole value is replaced by the node it names (mapping, list, number), inside text by its
// words. Absolute paths, list indices as .0 or [0], and relative ones with leading dots. Resolvers (${oc.env:X}) are refused.

import { ConfigError } from '../util/errors.ts';

const WHOLE = /^\$\{([^${}]+)\}$/;
const INSIDE = /\$\{([^${}]+)\}/g;
const MAX_NODES = 20_000; // mappings that interpolate each other can grow exponentially

/** A copy of `root` with every reference replaced. ConfigError for missing keys, cycles and '???'. */
export function interpolate(root: Record<string, unknown>, { name }: { name: string }): Record<string, unknown> {
  let nodes = 0;

  const visit = (value: unknown, at: readonly string[], chain: readonly string[]): unknown => {
    if (++nodes > MAX_NODES)
      throw new ConfigError(`${name}: expected at most ${MAX_NODES} values after interpolation.`);
    if (typeof value === 'string') return text(value, at, chain);
    if (Array.isArray(value)) return value.map((inner, i) => visit(inner, [...at, String(i)], chain));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, visit(inner, [...at, key], chain)]));
  };

  const text = (value: string, at: readonly string[], chain: readonly string[]): unknown => {
    const where = `${name}: ${at.join('.')}`;
    if (value === '???') throw new ConfigError(`${where}: expected a value in place of the mark '???'.`);
    const whole = WHOLE.exec(value)?.[1];
    if (whole !== undefined) return follow(whole, at, chain);
    return value.replace(INSIDE, (_, path: string) => {
      const found = follow(path, at, chain);
      if (found !== null && typeof found === 'object') {
        throw new ConfigError(
          `${where}: expected text or a number for \${${path}} inside text, received a mapping or list.`,
        );
      }
      return String(found);
    });
  };

  const follow = (path: string, at: readonly string[], chain: readonly string[]): unknown => {
    const where = `${name}: ${at.join('.')}`;
    if (path.includes(':'))
      throw new ConfigError(
        `${where}: expected \${dotted.path}, received the resolver \${${path}}. Write the value out.`,
      );
    const target = absolute(path.trim(), at);
    const key = target.join('.');
    if (chain.includes(key) || at.join('.').startsWith(`${key}.`)) {
      throw new ConfigError(`${where}: \${${path}} refers to itself through ${[...chain, key].join(' -> ')}.`);
    }
    let value: unknown = root;
    for (const step of target) {
      const inside = value !== null && typeof value === 'object' && Object.hasOwn(value, step);
      if (!inside) throw new ConfigError(`${where}: expected an existing key, received \${${path}}.`);
      value = (value as Record<string, unknown>)[step];
    }
    return visit(value, target, [...chain, key]);
  };

  return visit(root, [], []) as Record<string, unknown>;
}

/** `.x` is a sibling, `..x` one level above; otherwise from the top. */
function absolute(path: string, at: readonly string[]): string[] {
  const dots = /^\.*/.exec(path)?.[0].length ?? 0;
  const steps = path
    .slice(dots)
    .replace(/\[(\w+)\]/g, '.$1')
    .split('.');
  return dots === 0 ? steps : [...at.slice(0, Math.max(0, at.length - dots)), ...steps];
}
