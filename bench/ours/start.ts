// The same start on both sides: libtorch's generator gives the same numbers to both after the same seed, so both draw their
// weights by name in the same order (bench/peers/start.py). Random weights cost what trained ones do.
import type { Module } from '../../src/nn/index.ts';
import { noGrad, type Tensor } from '../../src/tensor/index.ts';

/** Norm weights near 1; convolution kernels with the deviation that keeps activations alive; all else N(0, 0.02). */
export function drawWeights(parameters: readonly (readonly [string, Tensor])[]): void {
  noGrad(() => {
    for (const [name, p] of parameters.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const kernel = p.ndim === 4;
      p.normal_(0, kernel ? Math.sqrt(2 / (p.numel / p.size(0))) : 0.02);
      if (/norm[^.]*\.weight$/.test(name)) p.add_(1);
    }
  });
}

/** The vectors of spectral normalisation: all components equal, so that both sides begin alike. */
export function startVectors(module: Module): void {
  noGrad(() => {
    for (const [name, buffer] of module.stateDict()) if (/weight_[uv]$/.test(name)) buffer.fill_(buffer.numel ** -0.5);
  });
}
