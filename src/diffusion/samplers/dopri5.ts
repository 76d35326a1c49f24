// Dormand and Prince, orders 5(4), seven stages, the last one the first of the next step (J. Comput. Appl. Math. 6, 1980); the middle
// of the step after Shampine (Math. Comp. 46, 1986).

import { adaptive } from './adaptive.ts';

export const dopri5 = adaptive('dopri5', {
  order: 5,
  alpha: [1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1],
  beta: [
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
  ],
  // torchdiffeq takes Shampine's weights for the embedded solution instead of Dormand and Prince's.
  error: [
    35 / 384 - 1951 / 21600,
    0,
    500 / 1113 - 22642 / 50085,
    125 / 192 - 451 / 720,
    -2187 / 6784 + 12231 / 42400,
    11 / 84 - 649 / 6300,
    -1 / 60,
  ],
  middle: [
    6025192743 / 30085553152 / 2,
    0,
    51252292925 / 65400821598 / 2,
    -2691868925 / 45128329728 / 2,
    187940372067 / 1594534317056 / 2,
    -1776094331 / 19743644256 / 2,
    11237099 / 235043384 / 2,
  ],
});
