// Golden checks of area `training` that concern the optimiser: AdamW with EMA, gradient clipping, learning rates.

import { expect } from 'vitest';
import { Module, parameter } from '../../src/nn/index.ts';
import {
  AdamW,
  adamWOptions,
  clipGradNorm_,
  Ema,
  lrFactor,
  lrSchedule,
  lrScheduleOptions,
  type TrainingSection,
} from '../../src/optim/index.ts';
import { type Tensor, tidy } from '../../src/tensor/index.ts';
import { expectClose, type Fixture, type Kinds, limitsFor } from './harness.ts';

interface Run {
  name: string;
  lr: number;
  betas: [number, number];
  weight_decay: number;
  eps: number;
  clip: number;
}

interface ScheduleCase {
  name: string;
  training: TrainingSection;
  steps_per_epoch: number;
  base_lr: number;
  betas: number[];
  weight_decay: number;
  eps: number;
  steps: number[];
  lr_lambda: number[];
  lr_of_first_steps: number[];
}

/** A bag of parameters p0, p1, ... */
class Bag extends Module {
  readonly p: Record<string, Tensor> = {};
}

export const optimKinds: Kinds = {
  'adamw-ema': (entry, fixture) => {
    const { runs, ema_decays } = entry.config as { runs: Run[]; ema_decays: number[] };
    for (const run of runs) {
      for (const fused of [true, false]) trajectory(fixture, run, ema_decays, fused);
    }
  },

  'clip-grad-norm': (entry, fixture) => {
    const { cases } = entry.config as { cases: { case: number; max_norm: number }[] };
    for (const { case: number, max_norm } of cases) {
      tidy(() => {
        const grads = fixture.group(`inputs/${number}`);
        const params = [...grads.values()].map((grad) => grad.clone().setRequiresGrad());
        for (const [i, grad] of [...grads.values()].entries()) params[i]!.setGrad(grad.clone());
        fixture.expectClose(`outputs/${number}/norm`, clipGradNorm_(params, max_norm));
        for (const [i, name] of [...grads.keys()].entries()) {
          fixture.expectClose(`outputs/${number}/${name}`, params[i]!.grad!);
        }
      });
    }
  },

  schedules: (_entry, fixture) => {
    for (const wanted of fixture.json<{ cases: ScheduleCase[] }>().cases) {
      const optimizer = adamWOptions(wanted.training);
      expect(optimizer, wanted.name).toMatchObject({
        betas: wanted.betas,
        weightDecay: wanted.weight_decay,
        eps: wanted.eps,
      });
      const options = lrScheduleOptions(wanted.training, wanted.steps_per_epoch);
      expect(options.baseLr, wanted.name).toBe(wanted.base_lr);
      const factor = lrFactor(options);
      for (const [i, step] of wanted.steps.entries()) close(factor(step), wanted.lr_lambda[i]!, wanted.name, step);
      const rate = lrSchedule(options);
      for (const [step, lr] of wanted.lr_of_first_steps.entries()) close(rate(step), lr, wanted.name, step);
    }
  },
};

/** Twelve steps on stored gradients; parameters, averages and state after each against the stored ones. */
function trajectory(fixture: Fixture, run: Run, decays: readonly number[], fused: boolean): void {
  tidy(() => {
    const bag = new Bag();
    for (const [name, p] of fixture.group('inputs'))
      if (name.startsWith('p')) bag.p[name.slice(1)] = parameter(p.clone());
    const named = bag.namedParameters(); // p.0, p.1, ...
    const { lr, betas, eps, clip } = run;
    const optimizer = new AdamW(named, { lr, betas, eps, weightDecay: run.weight_decay, fused });
    const averages = decays.map((decay) => ({ decay, ema: new Ema(bag, { decay }) }));
    const check = (path: string, step: number, actual: Tensor) => {
      const name = `outputs/${run.name}/${path}`;
      const stored = fixture.get(name);
      expectClose(
        actual,
        step < 0 ? stored : stored.select(0, step),
        limitsFor(fixture.entry.tolerance, name),
        `${name} step ${step}`,
      );
    };

    for (let step = 0; step < fixture.get('inputs/g0').size(0); step++) {
      for (const [name, p] of named)
        p.setGrad(
          fixture
            .get(`inputs/g${name.slice(2)}`)
            .select(0, step)
            .clone(),
        );
      if (clip > 0) check('grad_norm', step, clipGradNorm_(bag.parameters(), clip));
      optimizer.step();
      for (const { decay, ema } of averages) {
        ema.update(step);
        for (const [name, t] of ema.stateDict()) check(`ema${decay}/p${name.slice(2)}`, step, t);
      }
      for (const [name, p] of named) check(`p${name.slice(2)}`, step, p);
    }
    for (const [name] of named) {
      const state = optimizer.stateDict();
      check(`exp_avg${name.slice(2)}`, -1, state.get(`exp_avg.${name}`)!);
      check(`exp_avg_sq${name.slice(2)}`, -1, state.get(`exp_avg_sq.${name}`)!);
    }
    optimizer.dispose();
    for (const { ema } of averages) ema.dispose();
    bag.dispose();
  });
}

function close(actual: number, wanted: number, name: string, step: number): void {
  expect(Math.abs(actual - wanted), `${name} at step ${step}: ${actual} for ${wanted}`).toBeLessThanOrEqual(
    1e-12 * wanted,
  );
}
