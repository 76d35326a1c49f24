// A small network trained by everything of src/optim together, against PyTorch 2.13 (torch.manual_seed(1), the same layers,
// data, AdamW with weight decay, cosine schedule with warm-up, clipping and averaging).

import { describe, expect, test } from 'vitest';
import { LayerNorm, Linear, Module } from '../nn/index.ts';
import { backward, gelu, manualSeed, memoryStats, mseLoss, randn, stack, type Tensor, tidy } from '../tensor/index.ts';
import { AdamW, clipGradNorm_, Ema, lrSchedule, warmDecay } from './index.ts';

class Mlp extends Module {
  readonly 0 = new Linear(4, 16);
  readonly 2 = new LayerNorm(16);
  readonly 3 = new Linear(16, 2);

  forward(x: Tensor): Tensor {
    return this[3].forward(this[2].forward(gelu(this[0].forward(x))));
  }
}

function setUp(fused?: boolean) {
  manualSeed(1);
  const model = new Mlp();
  const x = randn([32, 4]);
  const [a, b, c, d] = x.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
  const y = stack([a.mul(b), c.sub(d).sin()], 1);
  const optimizer = new AdamW(model.namedParameters(), {
    lr: 0,
    betas: [0.9, 0.95],
    weightDecay: 0.05,
    ...(fused === undefined ? {} : { fused }),
  });
  const ema = new Ema(model, { decay: warmDecay(0.995) });
  const rate = lrSchedule({
    type: 'cosine',
    baseLr: 1e-2,
    finalLr: 1e-3,
    warmupSteps: 5,
    decayEndSteps: 20,
    warmupFromZero: true,
  });
  const step = (n: number) =>
    tidy(() => {
      optimizer.lr = rate(n);
      optimizer.zeroGrad();
      const loss = mseLoss(model.forward(x), y);
      backward(loss);
      const norm = clipGradNorm_(model.parameters(), 0.5);
      optimizer.step();
      ema.update(n);
      return { loss: loss.item(), norm: norm.item() };
    });
  return { model, optimizer, ema, step };
}

// prettier-ignore
const losses = [
  1.46614408493042, 1.4218125343322754, 1.3381578922271729, 1.225128412246704, 1.0969562530517578, 0.9703388810157776,
  0.8768198490142822, 0.8103100061416626, 0.7629092931747437, 0.7273699641227722, 0.6988955736160278,
  0.6747321486473083, 0.6534464955329895, 0.6344817876815796, 0.6178042888641357, 0.603531002998352, 0.5917235612869263,
  0.5823000073432922, 0.5749971270561218, 0.5693657398223877,
];
const norms = { 0: 3.008831739425659, 10: 0.7956969738006592, 19: 0.7277510762214661 };
const weight = [-0.17802658677101135, -0.12652623653411865, 0.12754803895950317, -0.159677192568779];
const average = [-0.1745050847530365, -0.12434787303209305, 0.12372986972332001, -0.15574592351913452];
const bias = [0.13121190667152405, -0.14959381520748138];

describe('training', () => {
  for (const fused of [true, false]) {
    test(`twenty steps give PyTorch's numbers (${fused ? 'fused' : 'foreach'} AdamW)`, () => {
      const { model, ema, step } = setUp(fused);
      for (const [n, wanted] of losses.entries()) {
        const { loss, norm } = step(n);
        expect(Math.abs(loss - wanted), `loss of step ${n}: ${loss} for ${wanted}`).toBeLessThan(1e-6);
        if (n in norms) expect(norm / norms[n as keyof typeof norms]).toBeCloseTo(1, 6);
      }
      within(model[3].weight.toNumbers(), weight);
      within(model[3].bias!.toNumbers(), bias);
      within(ema.stateDict().get('3.weight')!.toNumbers(), average);
    });
  }

  test('two hundred steps leave the number of live tensors and the memory flat', () => {
    const { step } = setUp();
    for (let n = 0; n < 3; n++) step(n);
    const { tensors, bytes } = memoryStats();
    for (let n = 3; n < 203; n++) step(n);
    expect(memoryStats().tensors).toBe(tensors);
    expect(memoryStats().bytes - bytes).toBeLessThan(1e6); // the allocator's figure includes V8's own small blocks
  });

  test('state copied out and in again continues with the same bits', () => {
    const whole = setUp();
    for (let n = 0; n < 12; n++) whole.step(n);

    const first = setUp();
    for (let n = 0; n < 5; n++) first.step(n);
    const saved = [first.model, first.optimizer, first.ema].map(
      (part) => new Map([...part.stateDict()].map(([key, t]) => [key, t.detach().clone()])),
    );
    const second = setUp();
    for (let n = 0; n < 3; n++) second.step(n); // another history, overwritten below
    for (const [i, part] of [second.model, second.optimizer, second.ema].entries()) part.loadStateDict(saved[i]!);
    for (let n = 5; n < 12; n++) second.step(n);

    for (const part of ['model', 'optimizer', 'ema'] as const) {
      for (const [key, t] of whole[part].stateDict()) {
        expect(second[part].stateDict().get(key)!.toArray(), `${part} ${key}`).toEqual(t.toArray());
      }
    }
  });
});

function within(actual: readonly number[], wanted: readonly number[]): void {
  for (const [i, value] of wanted.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-6);
}
