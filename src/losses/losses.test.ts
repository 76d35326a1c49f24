import { expect, test } from 'vitest';
import { AlexNet } from '../models/alexnet.ts';
import { SqueezeNet } from '../models/squeezenet.ts';
import { VGG16 } from '../models/vgg.ts';
import type { Module } from '../nn/index.ts';
import { backward, Generator, grad, memoryStats, ones, rand, type Tensor, tidy, zeros } from '../tensor/index.ts';
import { diffAugment, drawDiffAugment, sliceDraws } from './diff-augment.ts';
import { quantize } from './gan.ts';
import { gramLoss } from './gram.ts';
import { lpipsFromWeights } from './lpips-weights.ts';
import { reconstructionLoss } from './reconstruction.ts';

const pictures = (seed: number, side = 36) => rand([2, 3, side, side], { generator: new Generator(seed) });

/** Weights as a checkpoint holds them, heads of ones. */
function weightsOf(trunk: Module & { channels: readonly number[] }): Map<string, Tensor> {
  const heads = trunk.channels.map((C, k): [string, Tensor] => [`lin${k}.weight`, ones([1, C, 1, 1])]);
  return new Map([...trunk.stateDict(), ...heads]);
}

test('LPIPS takes the network that the weights hold', () => {
  for (const trunk of [new SqueezeNet(), new AlexNet(), new VGG16()]) {
    const lpips = lpipsFromWeights(weightsOf(trunk));
    expect(lpips.trunk.constructor).toBe(trunk.constructor);
    const x = pictures(1);
    expect(Math.max(...lpips.forward(x, x).toNumbers())).toBeLessThan(1e-12);
    expect(Math.min(...lpips.forward(x, pictures(2)).toNumbers())).toBeGreaterThan(0);
    expect(() => lpips.forward(zeros([1, 3, 12, 40]), zeros([1, 3, 12, 40]))).toThrow(/sides of at least/);
    lpips.dispose();
  }
});

test('LPIPS reads the lpips package names, whose positions count through the network', () => {
  const weights = weightsOf(new SqueezeNet());
  const slices: Record<string, number> = { 0: 1, 3: 2, 4: 2, 6: 3, 7: 3, 9: 4, 10: 5, 11: 6, 12: 7 };
  const renamed = new Map(
    [...weights].map(([key, t]) => {
      const [, position, rest] = /^features\.(\d+)\.(.+)$/.exec(key) ?? [];
      return [
        position ? `net.slice${slices[position]}.${position}.${rest}` : key.replace('.weight', '.model.1.weight'),
        t,
      ];
    }),
  );
  renamed.set('scaling_layer.shift', zeros([1, 3, 1, 1]));
  const [a, b] = [lpipsFromWeights(weights), lpipsFromWeights(renamed)];
  expect(b.forward(pictures(1), pictures(2)).toNumbers()).toEqual(a.forward(pictures(1), pictures(2)).toNumbers());
});

test('LPIPS in several pieces equals that of each picture, its gradient too', () => {
  const lpips = lpipsFromWeights(weightsOf(new VGG16())); // 50 pictures of 36 pixels make a piece
  const [a, b] = [1, 2].map((seed) => rand([52, 3, 36, 36], { generator: new Generator(seed) })) as [Tensor, Tensor];
  const x = b.clone().setRequiresGrad();
  const distances = lpips.forward(a, x);
  const [g] = grad([distances.sum()], [x]) as [Tensor];
  const [alone, last] = [a.narrow(0, 51, 1), b.narrow(0, 51, 1).clone().setRequiresGrad()];
  const distance = lpips.forward(alone, last);
  expect(distances.toNumbers()[51]).toBeCloseTo(distance.item(), 6);
  const [h] = grad([distance.sum()], [last]) as [Tensor];
  const error = g.narrow(0, 51, 1).sub(h).square().sum().item() / h.square().sum().item();
  expect(Math.sqrt(error)).toBeLessThan(1e-3);
});

test('LPIPS has a finite gradient where all channels of a position are zero', () => {
  const weights = weightsOf(new SqueezeNet());
  for (const [key, t] of weights) if (key.startsWith('features.0.')) t.detach().zero_(); // nothing passes the first layer
  const lpips = lpipsFromWeights(weights);
  const x = pictures(1).setRequiresGrad();
  const [g] = grad([lpips.forward(pictures(2), x).mean()], [x]) as [Tensor];
  expect(g.isfinite().all().item()).toBe(1);
});

test('heads without their network, or of another one, are refused', () => {
  expect(() => lpipsFromWeights(new Map([['lin0.model.1.weight', ones([1, 64, 1, 1])]]))).toThrow(
    /need the file of their network/,
  );
  const weights = weightsOf(new SqueezeNet());
  weights.set('lin1.weight', ones([1, 192, 1, 1]));
  expect(() => lpipsFromWeights(weights)).toThrow(/a head 'lin1' of shape \[1, 128, 1, 1\]/);
});

test('the reconstruction loss keeps no tensor but what it returns', () => {
  const lpips = tidy(() => lpipsFromWeights(weightsOf(new SqueezeNet())));
  const [image, recon] = [pictures(1), pictures(2).setRequiresGrad()];
  const before = memoryStats().tensors;
  tidy(() => backward(reconstructionLoss(recon, image, { lpips }).total));
  expect(memoryStats().tensors).toBe(before);
  recon.setGrad(undefined);
});

test('augmentation draws follow the reference: three coins, then seven rows only if a coin is on', () => {
  const generator = new Generator(7);
  const { coins, uniforms } = drawDiffAugment(5, { prob: 1, generator });
  expect(coins.length).toBe(3);
  expect(uniforms.map((row) => row.length)).toEqual(Array(7).fill(5));
  expect(drawDiffAugment(5, { prob: 1e-5, generator: new Generator(7) }).uniforms).toEqual([]);
});

test('micro-batches with sliced draws equal the whole batch', () => {
  const x = pictures(8, 24);
  const draws = drawDiffAugment(2, { generator: new Generator(9) });
  const whole = diffAugment(x, draws, { cutout: 0.2 });
  for (const i of [0, 1]) {
    const part = diffAugment(x.narrow(0, i, 1), sliceDraws(draws, i, 1), { cutout: 0.2 });
    expect(part.toNumbers()).toEqual(whole.narrow(0, i, 1).toNumbers());
  }
  expect(() => diffAugment(x, sliceDraws(draws, 0, 1))).toThrow(/7 rows of 2 draws/);
});

test('fake pictures are clamped and rounded half to even', () => {
  const x = tidy(() => rand([64]).mul(4).sub(2));
  const levels = quantize(x).add(1).mul(127.5);
  expect(levels.sub(levels.round()).abs().max().item()).toBeLessThan(1e-4);
  expect(quantize(ones([1]).mul(3)).item()).toBe(1);
});

test('the Gram loss compares which channels fire together, not where', () => {
  const network = { features: (x: Tensor) => [x] };
  const x = pictures(1);
  expect(gramLoss(network, x, x.flip([3])).item()).toBeLessThan(1e-12);
  const [image, recon] = [ones([1, 2, 2, 2]), zeros([1, 2, 2, 2]).setRequiresGrad()];
  expect(gramLoss(network, image, recon).item()).toBeCloseTo(4 * 0.5 ** 2, 6); // four entries of 4 / (2 * 4)
  const moved = x.mul(0.5).detach().setRequiresGrad();
  const [gradient] = grad([gramLoss(network, x, moved)], [moved]);
  expect(gradient!.abs().max().item()).toBeGreaterThan(0);
});
