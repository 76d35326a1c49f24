import { expect, test } from 'vitest';
import { log } from '../util/log.ts';
import { guarded } from './guard.ts';
import type { StepFigures } from './session.ts';
import { NonFiniteError } from './update.ts';

log.quiet = true;
const good = (): StepFigures => ({ mean: { loss: 1 }, now: {} });
const bad =
  (parameters = false) =>
  (): StepFigures => {
    throw new NonFiniteError('step 3: expected finite numbers, received NaN in a.weight.', parameters);
  };

function guard(policy: 'stop' | 'skip' | 'rollback', checkpoint = true) {
  const did = { cleared: 0, back: 0 };
  const state = { step: 3, samples: 0, loader: 0, window: {}, due: [] };
  const run = guarded({
    policy,
    log,
    optimizer: { zeroGrad: () => void did.cleared++ },
    session: {
      state,
      rollBack() {
        did.back++;
        if (checkpoint) state.step = 2;
        return checkpoint ? 2 : undefined;
      },
    },
  });
  return { run, did, state };
}

test('a run that is to stop stops, and names the step and the tensor', () => {
  expect(() => guard('stop').run(bad())).toThrow(/step 3: .* in a\.weight\. The last checkpoint is kept/);
});

test('a skipped step clears the gradients and is counted; good steps count as not skipped', () => {
  const { run, did } = guard('skip');
  expect(run(bad())).toEqual({ mean: { skipped: 1 }, now: {} });
  expect(run(good)).toEqual({ mean: { loss: 1, skipped: 0 }, now: {} });
  expect(did.cleared).toBe(1);
});

test('broken parameters are not skipped, for every later step would be the same', () => {
  expect(() => guard('skip').run(bad(true))).toThrow(NonFiniteError);
});

test('skipping and going back end when they do not help', () => {
  const { run } = guard('skip');
  for (let i = 0; i < 5; i++) run(bad());
  expect(() => run(bad())).toThrow(NonFiniteError);
  const back = guard('rollback');
  for (let i = 0; i < 5; i++) {
    expect(back.run(bad(true))).toBeUndefined();
    back.run(good); // step 2 again, before the one that failed
    back.state.step = 3;
  }
  expect(() => back.run(bad(true))).toThrow(NonFiniteError);
  expect(back.did.back).toBe(5);
});

test('without a checkpoint to go back to the run stops', () => {
  const { run, did } = guard('rollback', false);
  expect(() => run(bad())).toThrow(NonFiniteError);
  expect(did.back).toBe(1);
});
