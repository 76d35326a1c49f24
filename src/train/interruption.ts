// Stopping in the middle of a grid or an evaluation: a signal must not wait until all held-out pictures have been looked at. What was due
// stays due in the checkpoint, and the resumed run does it first (session.ts).

import { interrupted } from '../tensor/index.ts';
import { InterruptedError } from '../util/errors.ts';

/** Call between the parts of work that can be done again. The signal stays noticed: the session still has to save. */
export function stopWhenInterrupted(): void {
  const signal = interrupted();
  if (signal !== 0) throw new InterruptedError('interrupted while judging held-out pictures.', 128 + signal);
}
