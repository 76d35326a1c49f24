// What a test's verbs print, instead of showing it. `out` and `err` are live: they hold what has been written since the test began.

import { afterEach, beforeEach, vi } from 'vitest';

export let out = '';
export let err = '';

/** Catches both streams in every test of the file that calls this. */
export function captureOutput(): void {
  beforeEach(() => {
    forgetOutput();
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    });
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += text;
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
}

/** Begins anew within a test. */
export function forgetOutput(): void {
  out = '';
  err = '';
}
