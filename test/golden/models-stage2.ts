// Golden runs of the stage-2 models (area `models`): forward passes, label dropout, given s, bf16, gradients, guidance, and the keys and
// shapes of the published sizes.

import { expect } from 'vitest';
import { type GuidanceTerm, guidedVelocity, type LabelledVelocity } from '../../src/diffusion/index.ts';
import type { DiTwDDTHead } from '../../src/models/dit-dh.ts';
import { Rope2d, rotate } from '../../src/models/layers/rope.ts';
import { sincosTable } from '../../src/models/layers/sincos.ts';
import { createStage2, type Stage2Model } from '../../src/models/stage2.ts';
import { skipInit } from '../../src/nn/index.ts';
import { autocast, backward, cat, full, noGrad, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Kinds, limitsFor } from './harness.ts';

interface Call {
  output: string;
  call: string;
  args: Record<string, string>;
  params?: Record<string, unknown>;
  debug?: boolean;
}

/** Kinds of area `models` that the stage-2 networks answer for. */
export const stage2Kinds: Kinds = { stage2: runStage2, tables: runTables };

/** True for entries of kind `state-dict` that describe a stage-2 network. */
export function isStage2StateDict({ config }: Entry): boolean {
  return 'input_size' in config && 'num_classes' in config;
}

/** Compares keys, shapes and counts of a network of that configuration; its parameters are never touched, so no memory is used. */
export function stage2StateDict(entry: Entry, fixture: Fixture): void {
  const want = fixture.json<{ keys: [string, number[]][]; parameters: number; buffer_elements: number }>();
  const target = Array.isArray(entry.config.hidden_size) ? 'DiTwDDTHead' : 'LightningDiT';
  const model = skipInit(() => createStage2({ target, params: entry.config }));
  try {
    const got = [...model.stateDict()].map(([key, { shape }]): [string, readonly number[]] => [key, shape]);
    expect(Object.fromEntries(got)).toEqual(Object.fromEntries(want.keys));
    const count = (tensors: readonly Tensor[]) => tensors.reduce((sum, { numel }) => sum + numel, 0);
    expect(count(model.parameters())).toBe(want.parameters);
    expect(count(model.namedBuffers().map(([, t]) => t))).toBe(want.buffer_elements);
  } finally {
    model.dispose();
  }
}

function runStage2(entry: Entry, fixture: Fixture): void {
  const { constructor: params, calls } = entry.config as { constructor: Record<string, unknown>; calls: Call[] };
  const model = load(entry.config.class as string, params, fixture.group('weights'));
  const guideParams = entry.config.guide_constructor as Record<string, unknown> | undefined;
  const guide = guideParams && load(entry.config.class as string, guideParams, fixture.group('guide_weights'));
  try {
    for (const call of calls) tidy(() => runCall(call, { entry, fixture, model, guide }));
  } finally {
    model.dispose();
    guide?.dispose();
  }
}

/** The model with the reference's weights. */
function load(target: string, params: Record<string, unknown>, weights: Map<string, Tensor>): Stage2Model {
  return tidy(() => {
    const model = skipInit(() => createStage2({ target, params })).eval();
    const own = model.stateDict().get('s_embedder.proj.weight');
    const given = weights.get('s_embedder.proj.weight');
    // The reference multiplies the channels by the patch area twice, so that its s_embedder can never run: ours takes what fits.
    if (own && given && given.size(1) > own.size(1)) {
      weights.set('s_embedder.proj.weight', given.narrow(1, 0, own.size(1)));
    }
    model.loadStateDict(weights);
    return model;
  });
}

interface Context {
  entry: Entry;
  fixture: Fixture;
  model: Stage2Model;
  guide: Stage2Model | undefined;
}

function runCall({ output, call, args, params = {} }: Call, context: Context): void {
  const { entry, fixture, model } = context;
  const [x, t, y] = ['x', 't', 'y'].map((name) => fixture.get(`inputs/${args[name]}`)) as [Tensor, Tensor, Tensor];
  const check = (run: () => Tensor): void => fixture.expectClose(output, noGrad(run));
  switch (call) {
    case 'forward':
      check(() => {
        const s = args.s && fixture.get(`inputs/${args.s}`);
        return s ? (model as DiTwDDTHead).forward(x, t, y, { s }) : model.forward(x, t, y);
      });
      return;
    case 'forward_train': {
      const { constructor: options } = entry.config as unknown as { constructor: { class_dropout_prob: number } };
      const dropMask = fixture.get(`inputs/${args.drop_uniform}`).lt(options.class_dropout_prob);
      model.train();
      check(() => model.forward(x, t, y, { dropMask }));
      model.eval();
      return;
    }
    case 'forward_autocast_bf16':
      check(() => autocast({ dtype: 'bf16' }, () => model.forward(x, t, y)));
      return;
    case 'forward_with_cfg':
    case 'forward_with_autoguidance':
      check(() => guided({ x, t, y }, call, params as unknown as GuidanceParams, context));
      return;
    case 'mean_square_gradients':
      gradients(context, output, { x, t, y });
      return;
    default:
      throw new Error(`${entry.name}: no golden test knows the call '${call}'`);
  }
}

interface Inputs {
  x: Tensor;
  t: Tensor;
  y: Tensor;
}

interface GuidanceParams {
  cfg_scale: number;
  /** [t_min, t_max] of DiT^DH, or LightningDiT's list of [lo, hi). */
  cfg_interval: [number, number] | [number, number][];
  interval_cfg?: number;
}

/**
 * The reference's guided forward passes through our velocity function, which knows one time a call: hence row by row.
 * CFG sees the first half of a doubled batch and returns it twice; LightningDiT does so with autoguidance, too.
 */
function guided({ x, t, y }: Inputs, call: string, params: GuidanceParams, { model, guide, entry }: Context): Tensor {
  const cfg = call === 'forward_with_cfg';
  const halves = cfg || entry.config.class === 'LightningDiT';
  const rows = halves ? x.size(0) / 2 : x.size(0);
  const times = t.toNumbers();
  const term = guidanceTerm(params, times[0]!);
  const as =
    (network: Stage2Model): LabelledVelocity =>
    (state, time, labels) =>
      network.forward(state, full([state.size(0)], time), labels);
  const guidance = !term
    ? {}
    : cfg
      ? { cfg: { ...term, nullLabel: model.nullLabel! } }
      : { auto: { ...term, guide: as(guide!) } };
  const out = times.slice(0, rows).map((time, i) => {
    const velocity = guidedVelocity(as(model), y.narrow(0, i, 1), guidance);
    return velocity(x.narrow(0, i, 1), time);
  });
  return cat(halves ? [...out, ...out] : out, 0);
}

/** Scale and interval as ours has them; LightningDiT's choice by the first time of the batch. Undefined: conditional only. */
function guidanceTerm(
  { cfg_scale, cfg_interval, interval_cfg }: GuidanceParams,
  first: number,
): GuidanceTerm | undefined {
  const [low, high] = cfg_interval;
  if (typeof low === 'number' && typeof high === 'number') return { scale: cfg_scale, interval: [low, high] };
  const inside = (cfg_interval as [number, number][]).some(
    ([lo, hi]) => Math.fround(lo) <= first && first < Math.fround(hi),
  );
  if (!inside) return { scale: cfg_scale };
  return interval_cfg === undefined ? undefined : { scale: interval_cfg };
}

function gradients({ entry, fixture, model }: Context, output: string, { x, t, y }: Inputs): void {
  x.setRequiresGrad();
  const loss = model.forward(x, t, y).square().mean();
  fixture.expectClose(output, loss);
  backward(loss);
  const got = new Map([...model.namedParameters(), ['inputs/x', x] as const]);
  const wanted = fixture.group('grads');
  expect([...wanted.keys()].filter((key) => !got.has(key))).toEqual([]);
  for (const [key, want] of wanted) {
    const grad = got.get(key)?.grad;
    if (!grad) throw new Error(`${entry.name}: no gradient for ${key}`);
    expectClose(grad, want, limitsFor(entry.tolerance, `grads/${key}`), `${entry.name} grads/${key}`);
  }
  x.setGrad(undefined);
  x.setRequiresGrad(false);
}

function runTables({ config, tolerance }: Entry, fixture: Fixture): void {
  const { sincos, rope, apply } = config as {
    sincos: { dim: number; grid: number; rows: number[] }[];
    rope: { head_dim: number; grid: number; rows: number[] }[];
    apply: { head_dim: number; grid: number };
  };
  const check = (name: string, got: Tensor) =>
    expectClose(got, fixture.get(name), limitsFor(tolerance, name), `tables ${name}`);
  tidy(() => {
    for (const { dim, grid, rows } of sincos) {
      check(`outputs/sincos_${dim}_${grid}`, pick(sincosTable(dim, grid, grid), rows));
    }
    for (const { head_dim, grid, rows } of rope) {
      const tables = new Rope2d(head_dim, grid, grid);
      check(`outputs/rope_cos_${head_dim}_${grid}`, pick(tables.freqs_cos, rows));
      check(`outputs/rope_sin_${head_dim}_${grid}`, pick(tables.freqs_sin, rows));
      tables.dispose();
    }
    const tables = new Rope2d(apply.head_dim, apply.grid, apply.grid);
    const q = fixture.get('inputs/q').transpose(1, 2).unsqueeze(2).contiguous(); // [B, N, 1, H, d]
    check('outputs/rope_applied', rotate(q, tables.rotation()).squeeze(2).transpose(1, 2));
    tables.dispose();
  });
}

function pick(table: Tensor, rows: number[]): Tensor {
  return table.indexSelect(0, tensor(rows, { dtype: 'i64' }));
}
