import { expect, test } from 'vitest';
import { ArgumentError } from '../util/errors.ts';
import {
  autocast,
  backward,
  bernoulli,
  cut,
  full,
  Generator,
  linear,
  manualSeed,
  memoryStats,
  randn,
  recomputed,
  recomputing,
  type Tensor,
  tidy,
} from './index.ts';

const DEPTH = 6;
const generator = new Generator(0);
const weights = Array.from({ length: DEPTH }, () => randn([64, 64], { generator }).mul(0.2).detach().setRequiresGrad());
const embed = randn([64, 64], { generator }).detach().setRequiresGrad();
const data = randn([256, 64], { generator });

/** A deep network with dropout, a condition that every layer and the end use, and a wide hidden state in each layer. */
function loss(): Tensor {
  const start = cut(linear(data, embed));
  const condition = cut(start.sigmoid());
  let x = cut(start.tanh());
  for (const w of weights) {
    x = recomputed([x, condition], (x, condition) => {
      const hidden = linear(x, w).tanh().exp().sin().mul(condition).cos();
      return x.add(hidden.mul(bernoulli(full([256, 64], 0.5))));
    });
  }
  return x.mul(condition).square().mean();
}

function gradients(enabled: boolean, bf16 = false) {
  manualSeed(5);
  const all = [embed, ...weights];
  for (const w of all) w.setGrad(undefined);
  let held = 0;
  const value = recomputing({ enabled }, () =>
    tidy(() => {
      const before = memoryStats().bytes;
      const mean = autocast({ enabled: bf16 }, loss);
      held = memoryStats().bytes - before;
      backward(mean);
      return mean.item();
    }),
  );
  return { value, held, grads: all.map((w) => tidy(() => w.grad!.toNumbers())), next: randn([1]).item() };
}

test.each([{ bf16: false }, { bf16: true }])(
  'gradients, loss and the random numbers after it are the same bits with insides computed again (bf16: $bf16)',
  ({ bf16 }) => {
    const { held: _, ...plain } = gradients(false, bf16);
    const { held: __, ...again } = gradients(true, bf16);
    expect(again).toEqual(plain);
  },
);

test('between forward and backward a part holds its input alone', () => {
  const one = 256 * 64 * 4; // bytes of one activation
  expect(gradients(false).held).toBeGreaterThan(DEPTH * 6 * one);
  expect(gradients(true).held).toBeLessThan((DEPTH + 6) * one + 100_000);
});

test('nothing is left alive by passes that end, fail or are never differentiated', () => {
  const { tensors } = memoryStats();
  recomputing({}, () => tidy(loss)).dispose();
  recomputing({}, () => tidy(() => backward(loss())));
  for (const w of [embed, ...weights]) w.setGrad(undefined);
  expect(() =>
    recomputing({}, () =>
      tidy(() =>
        recomputed([embed], (_) => {
          throw new Error('inside');
        }),
      ),
    ),
  ).toThrow('inside');
  expect(memoryStats().tensors).toBe(tensors);
});

test('accumulates over passes, like backward', () => {
  const once = gradients(true).grads;
  manualSeed(5);
  recomputing({}, () => tidy(() => backward(loss())));
  const twice = weights.map((w) => tidy(() => w.grad!.div(2).toNumbers()));
  expect(twice).toEqual(once.slice(1));
});

test('an input whose graph goes on behind it is refused, for its gradient would be lost', () => {
  expect(() => recomputing({}, () => tidy(() => recomputed([embed.mul(2)], (x) => x.mul(3))))).toThrow(ArgumentError);
});
