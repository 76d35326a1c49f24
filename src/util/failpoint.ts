// Places at which a test kills the process, to prove that a run survives it: RAE_FAILPOINT=name or name@n (n-th visit).
// A kill, not an exception: nothing is cleaned up, as after `kill -9` or a power cut of the process.
//
// The places: `step` (of training, before it), `atomic-write:middle`, `atomic-write:before-rename`, and, while a checkpoint
// is being written, `checkpoint-mid-write` (half of a piece of one of its files is on the disk), `checkpoint-before-rename`,
// `checkpoint-mid-swap`, `checkpoint-after-rename`, `latest-before-rename`, `retention-mid-delete`.

let visits = 0;
const aliases = new Map<string, string>();

/** Dies here when RAE_FAILPOINT names this place; otherwise does nothing. */
export function failpoint(name: string): void {
  const wanted = process.env.RAE_FAILPOINT;
  if (wanted === undefined) return;
  const [, place, nth = '1'] = /^(.*?)(?:[@:](\d+))?$/.exec(wanted) ?? [];
  if (place !== name && (place === undefined || aliases.get(name) !== place)) return;
  visits += 1;
  if (visits !== Number(nth)) return;
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way; no further byte may be written before it arrives.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** While `work` runs, the place `general` is also called `specific`. */
export async function withFailpointAlias<T>(general: string, specific: string, work: () => T | Promise<T>): Promise<T> {
  aliases.set(general, specific);
  try {
    return await work();
  } finally {
    aliases.delete(general);
  }
}
