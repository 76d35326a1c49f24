// NumPy's RandomState, as much of it as evaluation tools draw: `permutation` (mt19937 seeded by a number, Fisher-Yates with masked
// rejection). torch-fidelity shuffles the samples of the Inception Score and draws the subsets of KID with it, from the seed 2020.

const [N, M] = [624, 397];

export class NumpyRandom {
  readonly #state = new Uint32Array(N);
  #next = N;

  /** `seed`: 32 bits. */
  constructor(seed: number) {
    const s = this.#state;
    s[0] = seed;
    for (let i = 1; i < N; i++) s[i] = Math.imul(1812433253, s[i - 1]! ^ (s[i - 1]! >>> 30)) + i;
  }

  /** The numbers 0 to n - 1 in random order; its first k are `choice(n, k, replace=False)`. */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  /** A whole number from 0 to `n` - 1. */
  below(n: number): number {
    const most = n - 1;
    if (most === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(most);
    for (;;) {
      const value = (this.#draw() & mask) >>> 0;
      if (value <= most) return value;
    }
  }

  #draw(): number {
    if (this.#next === N) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const s = this.#state;
    for (let i = 0; i < N; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % N]! & 0x7fffffff);
      s[i] = s[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
