// Bounds how many pictures are decoded at once by the memory they take together, judged by the largest seen so far: many small ones,
// few large ones.

/** Whatever their size, so many may be inside. */
const LEAST = 4;

export class Room {
  readonly #budget: number;
  #largest = 2 ** 20;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  /** `budget`: bytes. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Tells the size of a picture. */
  observe(bytes: number): void {
    this.#largest = Math.max(this.#largest, bytes);
  }

  /** Waits for a place; call what it returns to leave. */
  async enter(): Promise<() => void> {
    if (this.#inside < this.#places()) this.#inside++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // whoever wakes us has taken the place for us
    return () => this.#leave();
  }

  #leave(): void {
    this.#inside--;
    while (this.#waiting.length > 0 && this.#inside < this.#places()) {
      this.#inside++;
      this.#waiting.shift()!();
    }
  }

  #places(): number {
    return Math.max(LEAST, Math.floor(this.#budget / this.#largest));
  }
}
