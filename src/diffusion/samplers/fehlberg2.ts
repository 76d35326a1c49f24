// Fehlberg's method of orders 2(1), three stages.

import { adaptive } from './adaptive.ts';

export const fehlberg2 = adaptive('fehlberg2', {
  order: 2,
  alpha: [1 / 2, 1],
  beta: [[1 / 2], [1 / 256, 255 / 256]],
  solution: [1 / 512, 255 / 256, 1 / 512],
  error: [-1 / 512, 0, 1 / 512],
  middle: [0, 1 / 2, 0],
});
