// Bogacki and Shampine, orders 3(2), four stages, the last one the first of the next step (Appl. Math. Lett. 2, 1989).

import { adaptive } from './adaptive.ts';

export const bosh3 = adaptive('bosh3', {
  order: 3,
  alpha: [1 / 2, 3 / 4, 1],
  beta: [[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
  error: [2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8],
  middle: [0, 1 / 2, 0, 0],
});
