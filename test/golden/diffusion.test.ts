// Area `diffusion`: paths, losses and conversions, times and grids here; samplers and random numbers in diffusion-*.ts beside it.

import { expect } from 'vitest';
import {
  flowMatchingLoss,
  fromVelocity,
  interpolate,
  type LossWeight,
  type Path,
  type Prediction,
  parseTimeDistribution,
  pathNamed,
  referenceGrid,
  scoreFromVelocity,
  timesFromUniform,
  toVelocity,
  trainingInterval,
  velocityTarget,
} from '../../src/diffusion/index.ts';
import { type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { gaussianOracle, ode, odeDit, odePredictions, referencePath } from './diffusion-ode.ts';
import { torchRng } from './diffusion-rng.ts';
import { sdeOfficial, sdeReference } from './diffusion-sde.ts';
import { type Entry, expectClose, type Fixture, limitsFor, runArea } from './harness.ts';

runArea('diffusion', {
  'gaussian-oracle': gaussianOracle,
  ode,
  'ode-dit': odeDit,
  'ode-predictions': odePredictions,
  'sde-reference': (entry, fixture) => tidy(() => sdeReference(entry, fixture)),
  'sde-official': (entry, fixture) => tidy(() => sdeOfficial(entry, fixture)),
  'time-grids': timeGrids,
  time: (entry, fixture) => tidy(() => time(entry, fixture)),
  transport: (entry, fixture) => tidy(() => transport(entry, fixture)),
  'torch-rng': (entry, fixture) => tidy(() => torchRng(entry, fixture)),
});

// ── times ─────────────────────────────────────────────

function timeGrids(entry: Entry, fixture: Fixture): void {
  for (const [name, shift, points] of entry.config.runs as [string, number, number][]) {
    const key = `outputs/shift${name}-n${points}`;
    tidy(() => expectClose(tensor(referenceGrid(points, { shift })), fixture.get(key), { exact: true }, key));
  }
}

function time(entry: Entry, fixture: Fixture): void {
  const { time_dist_type, shifts, t0, t1 } = entry.config as {
    time_dist_type: string;
    shifts: Record<string, number>;
    t0: number;
    t1: number;
  };
  for (const [name, shift] of Object.entries(shifts)) {
    const t = timesFromUniform(fixture.get('inputs/u'), {
      distribution: parseTimeDistribution(time_dist_type),
      interval: [t0, t1],
      shift,
    });
    expectClose(t, fixture.get(`outputs/shift${name}/t`), limitsFor(entry.tolerance, 't'), `shift ${name}`);
  }
}

// ── losses and conversions ────────────────────────────

function transport(entry: Entry, fixture: Fixture): void {
  interface Run {
    run: string;
    prediction: Prediction;
    loss_weight: LossWeight | null;
    time_dist_shift: number;
    t0: number;
    t1: number;
    train_eps: number;
  }
  const name = entry.config.path_type as string;
  const path = referencePath(name);
  const limits = limitsFor(entry.tolerance, 'x');
  const [noise, data] = [fixture.get('inputs/x0'), fixture.get('inputs/x1')];
  const close = (label: string, actual: Tensor) => expectClose(actual, fixture.get(`outputs/${label}`), limits, label);

  for (const run of entry.config.runs as Run[]) {
    const interval = trainingInterval(path, run.prediction, run.train_eps || undefined);
    expect(interval[0], `${run.run}: t0`).toBeCloseTo(run.t0, 12);
    expect(interval[1], `${run.run}: t1`).toBeCloseTo(run.t1, 12);
    const t = timesFromUniform(fixture.get('inputs/u'), { interval, shift: run.time_dist_shift });
    const group = `${run.prediction}-shift${run.time_dist_shift === 1 ? '1' : 'sqrt48'}`;
    close(`${group}/t`, t);
    close(`${group}/t_before`, timesFromUniform(fixture.get('inputs/u'), { interval }));
    close(`${group}/xt`, interpolate(path, data, noise, t));
    close(`${group}/ut`, velocityTarget(path, data, noise, t));
    const { loss } = flowMatchingLoss(() => fixture.get('inputs/model_output'), data, {
      path,
      prediction: run.prediction,
      weight: run.loss_weight ?? 'none',
      reference: true,
      t,
      noise,
    });
    close(`${run.run}/loss`, loss);
  }
  conversions(path, fixture, close);
}

function conversions(path: Path, fixture: Fixture, close: (label: string, actual: Tensor) => void): void {
  const [x, v, t] = [fixture.get('inputs/conv/x'), fixture.get('inputs/conv/v'), fixture.get('inputs/conv/t')];
  close('conv/alpha', path.alpha(t));
  close('conv/sigma', path.sigma(t));
  close('conv/d_alpha', path.alphaSlope(t));
  close('conv/d_sigma', path.sigmaSlope(t));
  close('conv/d_alpha_alpha_ratio', path.logAlphaSlope(t));
  const [a, b] = path.scoreOde(t);
  close('conv/drift', x.mul(a.unsqueeze(1)).neg());
  close('conv/drift_var', b.unsqueeze(1));
  close('conv/ode_drift-velocity', toVelocity(path, 'velocity', v, x, t));
  close('conv/ode_drift-noise', toVelocity(path, 'noise', v, x, t));
  close('conv/ode_drift-score', toVelocity(path, 'score', v, x, t));
  close('conv/velocity_from_score', toVelocity(path, 'score', v, x, t));
  close('conv/score-velocity', scoreFromVelocity(path, v, x, t));
  close('conv/score_from_velocity', scoreFromVelocity(path, v, x, t));
  close('conv/score-score', v);
  close('conv/score-noise', v.div(path.sigma(t).unsqueeze(1)).neg());
  close('conv/noise_from_velocity', fromVelocity(path, 'noise', v, x, t));
  if (fixture.has('outputs/conv/right_velocity_from_score')) {
    close('conv/right_velocity_from_score', toVelocity(pathNamed('vp'), 'score', v, x, t));
  }
}
