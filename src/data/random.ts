// Random numbers addressed by a key: the n-th draw of (seed, epoch, index, ...) depends on nothing else, so that
// augmentation and pictures are the same after a resume, for any amount of prefetching and any number of workers.
// Source: the mixing steps of MurmurHash3 (A. Appleby, public domain), two lanes of 32 bits, used as a counter-based generator.

/** Which use a key is for, so that two uses of the same (seed, index) never share numbers. */
export const stream = { order: 1, crop: 2, picture: 3 } as const;

/** The draws of one key, in order. */
export class Draws {
  readonly #low: number;
  readonly #high: number;
  #count = 0;

  /** `key`: whole numbers, at most 2^53 in size. */
  constructor(...key: number[]) {
    this.#low = absorb(key, 0x243f6a88);
    this.#high = absorb(key, 0x85a308d3);
  }

  /** Uniform in [0, 1), a multiple of 2^-32. */
  next(): number {
    this.#count++;
    const mixed = finish(this.#low + Math.imul(this.#count, 0x9e3779b9));
    return (finish(mixed ^ this.#high) >>> 0) / 4294967296;
  }

  /** A whole number in 0 .. n-1 (the bias is below n / 2^32). */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

/** A permutation of 0 .. n-1 (Fisher-Yates). */
export function permutation(n: number, draws: Draws): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}

function absorb(key: readonly number[], seed: number): number {
  let h = seed;
  for (const word of key) {
    h = absorbWord(h, word | 0);
    h = absorbWord(h, Math.floor(word / 4294967296) | 0);
  }
  return finish(h ^ key.length);
}

function absorbWord(h: number, word: number): number {
  const k = Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(h ^ k, 13), 5) + 0xe6546b64) | 0;
}

function finish(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}
