// What the set-up shows: one line a step with its time, and one block of lines for a failure.
import { SetupError } from './shell.mjs';

/** Runs one step and prints `  name  what it found or did  1.2 s`. `work` returns the middle text. */
export async function step(name, work, print = console.log) {
  const started = performance.now();
  const text = await work();
  const seconds = (performance.now() - started) / 1000;
  print(`  ${name.padEnd(12)} ${text}  ${seconds < 0.05 ? '' : `${seconds.toFixed(1)} s`}`.trimEnd());
}

/** Prints a failure: the sentence, what was tried, what mends it. Errors that are not ours keep their stack. */
export function reportFailure(error, print = console.error) {
  if (!(error instanceof SetupError)) {
    print(error?.stack ?? String(error));
    return;
  }
  print(`rae-ts set-up: ${error.message}`);
  for (const line of error.tried) print(`  tried: ${line}`);
  for (const line of error.mend) print(`  mend:  ${line}`);
}
