import { expect, test } from 'vitest';
import { hashTensor } from '../../test/golden/hash.ts';
import { backward, Generator, randn, type Tensor, tidy } from '../tensor/index.ts';
import { patchify } from './layers/patches.ts';
import { MaskedAutoencoder } from './mae.ts';

function tinyMae(generator?: Generator): MaskedAutoencoder {
  return new MaskedAutoencoder({
    encoder: { width: 24, depth: 2, heads: 2, hidden: 48, patch: 4, grid: [4, 4] },
    decoder: { width: 16, depth: 1, heads: 2, hidden: 32 },
    generator,
  });
}

/** Hash weights: norms around 1, biases of 0.2, matrices by fan-in, tokens and tables of 0.8. */
function hashWeight(name: string, { shape }: Tensor): Tensor {
  if (/norm\d?\.weight$/.test(name)) return hashTensor(name, [...shape], { center: 1, scale: 0.3 });
  if (name.endsWith('.bias')) return hashTensor(name, [...shape], { scale: 0.2 });
  if (!name.endsWith('.weight')) return hashTensor(name, [...shape], { scale: 0.8 });
  const fanIn = shape.slice(1).reduce((product, n) => product * n, 1);
  return hashTensor(name, [...shape], { scale: Math.sqrt(3 / fanIn) });
}

// Numbers of an independent implementation in PyTorch 2.13 (loops over patches instead of gathers, softmax written out).
test('loss, predictions and gradients equal an independent implementation in PyTorch', () => {
  const mae = tinyMae();
  mae.loadStateDict(new Map([...mae.stateDict()].map(([name, t]) => [name, hashWeight(name, t)])));
  const order = hashTensor('order', [2, 16]).argsort(1);
  const { loss, predicted, mask } = mae.forward(hashTensor('image', [2, 3, 16, 16], { scale: 2 }), { order });
  expect(loss.item()).toBeCloseTo(2.0882108, 5);
  expect(predicted.shape).toEqual([2, 16, 48]);
  for (const [i, value] of [0.5424721, 0.3201703, 1.618951].entries()) {
    expect(predicted.toArray()[i]).toBeCloseTo(value, 4);
  }
  expect(mask.sum().item()).toBe(24);
  backward(loss);
  const norm = (t: Tensor) => t.grad!.square().sum().sqrt().item();
  expect(norm(mae.encoder.patch_embed.proj.weight)).toBeCloseTo(0.2260428, 5);
  expect(norm(mae.mask_token)).toBeCloseTo(0.6220307, 5);
  expect(norm(mae.encoder.cls_token!)).toBeCloseTo(0.0312119, 5);
});

test('three quarters of each picture are hidden, other ones in other pictures', () => {
  const { mask } = tidy(() => tinyMae().forward(randn([8, 3, 16, 16]), { generator: new Generator(3) }));
  expect(new Set(mask.sum([1]).toNumbers())).toEqual(new Set([12]));
  expect(new Set(mask.unbind(0).map((row) => row.toNumbers().join())).size).toBeGreaterThan(4);
});

test('a seed gives the same initial weights and the same masks', () => {
  const losses = [1, 1, 2].map((seed) => {
    const generator = new Generator(seed);
    const images = randn([2, 3, 16, 16], { generator: new Generator(9) });
    return tidy(() => tinyMae(generator).forward(images, { generator }).loss.item());
  });
  expect(losses[0]).toBe(losses[1]);
  expect(losses[0]).not.toBe(losses[2]);
});

test('position tables are saved but not trained', () => {
  const mae = tinyMae();
  expect(mae.encoder.pos_embed!.requiresGrad).toBe(false);
  expect(mae.decoder_pos_embed.requiresGrad).toBe(false);
  expect([...mae.stateDict().keys()]).toContain('encoder.pos_embed');
});

test('an order of another shape is refused', () => {
  const order = randn([2, 9]).argsort(1);
  expect(() => tinyMae().forward(randn([2, 3, 16, 16]), { order })).toThrow(
    /order of shape \[2, 16\], received \[2, 9\]/,
  );
});

test('regresses plain pixels where normPixLoss is off', () => {
  const mae = new MaskedAutoencoder({
    encoder: { width: 16, depth: 1, heads: 2, hidden: 32, patch: 4, grid: [4, 4] },
    decoder: { width: 16, depth: 1, heads: 2 },
    normPixLoss: false,
  });
  const pixels = hashTensor('image', [2, 3, 16, 16], { scale: 1 });
  const { loss, predicted, mask } = mae.forward(pixels);
  const error = predicted.sub(patchify(pixels, 4)).square().mean([-1]);
  expect(loss.item()).toBeCloseTo(error.mul(mask).sum().div(mask.sum()).item(), 6);
});
