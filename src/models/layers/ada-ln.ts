// Adaptive layer norm (DiT): scale, shift and gate from the conditioning, per image or, in the DDT head, per token (spec 8.1, 8.2).
// Differs from the reference in grouping only: SiLU of the conditioning is the caller's, who applies it once for all blocks.

import { init, Linear, Module } from '../../nn/index.ts';
import type { Generator, Tensor } from '../../tensor/index.ts';

// Shapes: B batch, N tokens, M 1 or N (modulation rows), D width.

/** The linear layer behind a SiLU without parameters, hence the key `adaLN_modulation.1`; zero at the start. */
export class AdaLn extends Module {
  readonly 1: Linear;
  readonly #chunks: number;

  constructor({ width, chunks, generator }: { width: number; chunks: number; generator?: Generator | undefined }) {
    super();
    this.#chunks = chunks;
    this[1] = new Linear(width, chunks * width, { generator });
    init.zeros_(this[1].weight);
    init.zeros_(this[1].bias!);
  }

  /** Activated conditioning [B, M, D] -> `chunks` tensors [B, N or 1, D]; rows are repeated when there are fewer than tokens. */
  forward(activated: Tensor, tokens: number): Tensor[] {
    const rows = activated.size(1);
    const modulation = this[1].forward(activated); // [B, M, chunks * D]
    return (rows === 1 || rows === tokens ? modulation : modulation.repeatInterleave(tokens / rows, 1)).chunk(
      this.#chunks,
      -1,
    );
  }
}
