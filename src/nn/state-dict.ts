// Comparing a state dict with what a module, an optimiser or an average expects, and copying it in.
// Differs from PyTorch: nothing is copied unless everything fits, and long lists of keys are cut with a count.

import { noGrad, type Tensor } from '../tensor/index.ts';
import { WeightsError } from '../util/errors.ts';

/** Tensors by name, as checkpoints hold them. */
export type StateDict = Map<string, Tensor>;

/** Anything with a shape: a tensor, or an entry of a safetensors header. */
export type Shaped = { readonly shape: readonly number[] };

/** What differs between the keys expected and those received. */
export interface KeyReport {
  missing: string[];
  unexpected: string[];
}

const SHOWN = 8;

/**
 * Compares keys and shapes. Throws WeightsError listing every kind of difference; with `strict: false` only mis-shaped
 * keys throw, and missing and unexpected ones are returned. `nextStep` ends the message.
 */
export function checkKeys(
  where: string,
  wanted: ReadonlyMap<string, Shaped>,
  received: ReadonlyMap<string, Shaped>,
  { strict = true, nextStep = 'Check that it was made with the same configuration.' } = {},
): KeyReport {
  const missing = [...wanted.keys()].filter((key) => !received.has(key));
  const unexpected = [...received.keys()].filter((key) => !wanted.has(key));
  const misshaped: string[] = [];
  for (const [key, { shape }] of wanted) {
    const got = received.get(key)?.shape;
    if (got && !sameShape(shape, got)) misshaped.push(`key '${key}' of shape ${list(shape)}, received ${list(got)}`);
  }

  const [first] = misshaped;
  if (first && misshaped.length === 1 && !(strict && missing.length + unexpected.length > 0)) {
    throw new WeightsError(`${where}: expected ${first}. ${nextStep}`);
  }
  if (first || (strict && missing.length + unexpected.length > 0)) {
    const parts = [
      some('Missing', missing.map(quote)),
      some('Unexpected', unexpected.map(quote)),
      some(
        'Of another shape',
        misshaped.map((text) => text.replace(', received', ' expected,')),
      ),
    ].filter((part) => part !== '');
    throw new WeightsError(
      `${where}: expected ${wanted.size} keys, received ${received.size} that do not all fit. ${parts.join(' ')} ${nextStep}`,
    );
  }
  return { missing, unexpected };
}

/** Copies every tensor of `source` that `target` has; dtype and device are converted to the target's. */
export function copyStateDict(target: ReadonlyMap<string, Tensor>, source: ReadonlyMap<string, Tensor>): void {
  noGrad(() => {
    for (const [key, to] of target) {
      const from = source.get(key);
      if (from) to.copy_(from);
    }
  });
}

function some(title: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : '';
  return `${title} (${items.length}): ${items.slice(0, SHOWN).join(', ')}${more}.`;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

function list(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

function quote(key: string): string {
  return `'${key}'`;
}
