// Places at which a test kills the process, to prove that a run survives it: RAE_FAILPOINT=name or name@n (n-th visit).
// A kill, not an exception: nothing is cleaned up, as after `kill -9` or a power cut of the process.

let visits = 0;

/** Dies here when RAE_FAILPOINT names this place; otherwise does nothing. */
export function failpoint(name: string): void {
  const wanted = process.env.RAE_FAILPOINT;
  if (wanted === undefined) return;
  const [place, nth = '1'] = wanted.split('@');
  if (place !== name) return;
  visits += 1;
  if (visits !== Number(nth)) return;
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way; no further byte may be written before it arrives.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
