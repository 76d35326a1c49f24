// The most arithmetic a second that large matrix products reach here, in the dtype of the work: what shares are shares of.
import { randn, tidy } from '../../src/tensor/index.ts';

/** Floating-point operations a second of a product of 2048 x 2048 matrices, the best of five. */
export function peak(precision: 'fp32' | 'bf16'): number {
  return tidy(() => {
    const draw = () => randn([2048, 2048]).to(precision === 'bf16' ? 'bf16' : 'f32');
    const [a, b] = [draw(), draw()];
    a.matmul(b);
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now();
      a.matmul(b).dispose();
      return (performance.now() - start) / 1000;
    });
    return (2 * 2048 ** 3) / Math.min(...times);
  });
}
