// Every test file begins with the same random numbers: libtorch seeds its default generator from the clock's noise, and a test that
// draws without a generator of its own would pass on most days only.
import { beforeEach } from 'vitest';
import { manualSeed } from '../src/tensor/index.ts';

beforeEach(() => manualSeed(0));
