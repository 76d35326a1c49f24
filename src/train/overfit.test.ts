import { expect, test } from 'vitest';
import { linear, referenceGrid } from '../diffusion/index.ts';
import { Generator, memoryStats, randn, setThreads } from '../tensor/index.ts';
import { overfit, overfitWidths } from './overfit.ts';

test('the widths are half of the token, its own and half as much again', () => {
  expect(overfitWidths(64)).toEqual([32, 64, 96]);
});

test('a generator narrower than its tokens cannot learn one picture, a wider one does', () => {
  setThreads(1);
  const latent = randn([32, 2, 2], { generator: new Generator(0) });
  const transport = { path: linear, prediction: 'velocity' } as const;
  const options = { latent, steps: 60, transport, times: {}, grid: referenceGrid(20), depth: 1, lr: 3e-3 };
  const [narrow, wide] = [16, 48].map((width) => overfit(width, options));
  expect(narrow!.bound).toBe(0.5);
  expect(narrow!.loss).toBeGreaterThan(0.5);
  expect(wide!.loss).toBeLessThan(0.9 * narrow!.loss);
  for (const { sample } of [narrow!, wide!]) sample.dispose();
  latent.dispose();
});

test('it keeps the sample alone, and nothing when it is stopped; tensors are as many after every step', () => {
  const latent = randn([16, 2, 2], { generator: new Generator(0) });
  const transport = { path: linear, prediction: 'velocity' } as const;
  const options = { latent, steps: 5, transport, times: {}, grid: referenceGrid(4), depth: 1 };
  const before = memoryStats().tensors;
  const alive = new Set<number>();
  const { sample } = overfit(16, { ...options, onStep: () => alive.add(memoryStats().tensors) });
  expect(alive.size).toBe(1);
  expect(memoryStats().tensors).toBe(before + 1);
  const stop = () => {
    throw new Error('stopped');
  };
  expect(() => overfit(16, { ...options, onStep: stop })).toThrow('stopped');
  expect(memoryStats().tensors).toBe(before + 1);
  sample.dispose();
  latent.dispose();
});
