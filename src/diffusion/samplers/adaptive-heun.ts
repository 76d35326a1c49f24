// Heun's method of order 2 with Euler inside as its error estimate: torchdiffeq's adaptive_heun.

import { adaptive } from './adaptive.ts';

export const adaptiveHeun = adaptive('adaptive_heun', {
  order: 2,
  alpha: [1],
  beta: [[1]],
  solution: [1 / 2, 1 / 2],
  error: [1 / 2, -1 / 2],
  middle: [1 / 2, 0],
});
