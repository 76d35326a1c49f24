// What becomes of a step whose loss or gradients are not finite (training.non_finite): the run stops, as the default has it; the step is
// skipped, its batch lost; or the run goes back to its newest checkpoint and on with other batches. Both of the latter end when they do not
// help, and cannot help where parameters are broken that no checkpoint has.

import type { AdamW } from '../optim/index.ts';
import type { Log } from '../util/log.ts';
import type { Session, StepFigures } from './session.ts';
import { NonFiniteError } from './update.ts';

/** So many failures without a good step or checkpoint in between end the run. */
const MOST = 5;

export interface GuardOptions {
  policy: 'stop' | 'skip' | 'rollback';
  optimizer: Pick<AdamW, 'zeroGrad'>;
  session: Pick<Session, 'state' | 'rollBack'>;
  log: Log;
}

/** Runs a step; undefined where the run went back instead. NonFiniteError when it has to stop. */
export function guarded({
  policy,
  optimizer,
  session,
  log,
}: GuardOptions): (step: () => StepFigures) => StepFigures | undefined {
  let failures = 0;
  let goodUntil = 0;
  return (step) => {
    try {
      const figures = step();
      if (policy === 'skip' || session.state.step >= goodUntil) failures = 0;
      return policy === 'skip' ? { ...figures, mean: { ...figures.mean, skipped: 0 } } : figures;
    } catch (error) {
      if (!(error instanceof NonFiniteError) || policy === 'stop' || ++failures > MOST) throw error;
      optimizer.zeroGrad();
      if (policy === 'skip') {
        if (error.parameters) throw error; // every later step would be the same
        log.warn(`${error.what} Skipped.`);
        return { mean: { skipped: 1 }, now: {} };
      }
      goodUntil = session.state.step + 1;
      const back = session.rollBack();
      if (back === undefined) throw error;
      log.warn(`${error.what} Back to step ${back}, on with other batches.`);
      return undefined;
    }
  };
}
