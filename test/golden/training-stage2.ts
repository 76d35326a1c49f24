// Golden training of a tiny DiT^DH (area `training`): loss, gradient norm, rate, parameters and moving average over ten steps,
// in fp32, with accumulation, and under bf16 autocast.

import { flowMatchingLoss } from '../../src/diffusion/flow-matching.ts';
import { pathNamed } from '../../src/diffusion/path.ts';
import { type Prediction, parseTimeDistribution, timesFromUniform } from '../../src/diffusion/time.ts';
import { createStage2, type Stage2Model } from '../../src/models/stage2.ts';
import { skipInit } from '../../src/nn/index.ts';
import { AdamW, clipGradNorm_, Ema, type LrScheduleType, lrSchedule } from '../../src/optim/index.ts';
import { autocast, backward, type Tensor, tidy } from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Kinds, limitsFor } from './harness.ts';

interface Config {
  model: Record<string, unknown> & { class_dropout_prob: number };
  transport: { path_type: string; prediction: Prediction; time_dist_type: string; time_dist_shift: number };
  training: {
    optimizer: { lr: number; betas: [number, number]; weight_decay: number; eps: number };
    scheduler: {
      type: LrScheduleType;
      warmup_steps: number;
      decay_end_steps: number;
      base_lr: number;
      final_lr: number;
    };
    clip_grad: number;
    ema_decay: number;
  };
  steps: number;
  batch: number;
  grad_accum_steps?: number;
  autocast?: 'bfloat16';
  weights_from?: string;
}

/** Kinds of area `training` that stage 2 answers for. */
export const stage2TrainingKinds: Kinds = { 'stage2-trajectory': runTrajectory };

function runTrajectory(entry: Entry, fixture: Fixture): void {
  const config = entry.config as unknown as Config;
  const source = config.weights_from ? fixture.sibling(config.weights_from) : fixture;
  const model = skipInit(() => createStage2({ target: 'DiTwDDTHead', params: config.model })).train();
  try {
    model.loadStateDict(withBuffers(model, source.group('weights')));
    train(model, config, source, entry, fixture);
  } finally {
    model.dispose();
    if (source !== fixture) source.dispose();
  }
}

function train(model: Stage2Model, config: Config, source: Fixture, entry: Entry, fixture: Fixture): void {
  const { optimizer: adam, scheduler, clip_grad, ema_decay } = config.training;
  const optimizer = new AdamW(model.namedParameters(), { ...adam, weightDecay: adam.weight_decay });
  const ema = new Ema(model, { decay: ema_decay });
  const rate = lrSchedule({
    type: scheduler.type,
    baseLr: scheduler.base_lr,
    finalLr: scheduler.final_lr,
    warmupSteps: scheduler.warmup_steps,
    decayEndSteps: scheduler.decay_end_steps,
  });
  const at = (name: string, step: number) => fixture.get(`outputs/${name}`).select(0, step);
  const expectAt = (name: string, step: number, got: Tensor | number) =>
    expectClose(got, at(name, step), limitsFor(entry.tolerance, name), `${entry.name} step ${step} ${name}`);

  for (let step = 0; step < config.steps; step++) {
    tidy(() => {
      optimizer.lr = rate(step);
      optimizer.zeroGrad();
      const losses = accumulate(model, config, source, step);
      expectAt('loss', step, losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
      expectAt('grad_norm', step, clipGradNorm_(model.parameters(), clip_grad));
      if (step === 0)
        expectGroup(entry, fixture, 'grads', new Map(model.namedParameters().map(([k, p]) => [k, p.grad!])));
      optimizer.step();
      ema.update(step);
    });
  }
  expectGroup(entry, fixture, 'outputs/final', model.stateDict());
  expectGroup(entry, fixture, 'outputs/ema', ema.stateDict());
  optimizer.dispose();
  ema.dispose();
}

/** Gradients of one optimiser step, averaged over micro-batches; the loss of each. */
function accumulate(model: Stage2Model, config: Config, source: Fixture, step: number): number[] {
  const micro = config.grad_accum_steps ?? 1;
  const size = config.batch / micro;
  const { path_type, prediction, time_dist_type, time_dist_shift: shift } = config.transport;
  return Array.from({ length: micro }, (_, i) => {
    const input = (name: string) =>
      source
        .get(`inputs/${name}`)
        .select(0, step)
        .narrow(0, i * size, size);
    const t = timesFromUniform(input('u_time'), { distribution: parseTimeDistribution(time_dist_type), shift });
    const dropMask = input('u_drop').lt(config.model.class_dropout_prob);
    const { loss } = flowMatchingLoss(
      (x, time) =>
        autocast({ dtype: 'bf16', enabled: config.autocast !== undefined }, () =>
          model.forward(x, time, input('y'), { dropMask }),
        ),
      input('z'),
      { path: pathNamed(path_type), prediction, noise: input('x0'), t },
    );
    backward(loss.mean().div(micro));
    return loss.mean().item();
  });
}

/** Compares the stored tensors of a group with ours of the same key. */
function expectGroup(entry: Entry, fixture: Fixture, group: string, got: ReadonlyMap<string, Tensor>): void {
  for (const [key, want] of fixture.group(group)) {
    const ours = got.get(key);
    if (!ours) throw new Error(`${entry.name}: nothing to compare with ${group}/${key}`);
    expectClose(ours, want, limitsFor(entry.tolerance, group.replace('outputs/', '')), `${entry.name} ${group}/${key}`);
  }
}

/** The fixtures hold parameters alone: the rotary tables are the model's own. */
function withBuffers(model: Stage2Model, weights: Map<string, Tensor>): Map<string, Tensor> {
  for (const [key, t] of model.namedBuffers()) if (!weights.has(key)) weights.set(key, t);
  return weights;
}
