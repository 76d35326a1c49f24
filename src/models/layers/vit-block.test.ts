// The fused forward pass of ViT blocks, one projection or three, against the composed one.
import { describe, expect, it } from 'vitest';
import { castProducts } from '../../nn/index.ts';
import { autocast, Generator, noGrad, randn, type Tensor, tidy, vitBlock, withFused } from '../../tensor/index.ts';
import { Decoder } from '../decoder.ts';
import { type FeedForward, ViTBlock } from './vit-block.ts';

interface Case {
  B: number;
  N: number;
  width: number;
  heads: number;
  hidden?: number;
  layerScale?: boolean;
  feedForward?: FeedForward;
}

const cases: Record<string, Case> = {
  'layer scale': { B: 2, N: 17, width: 64, heads: 4, layerScale: true },
  'tanh GELU, odd sizes, more than one block of rows': {
    B: 3,
    N: 70,
    width: 60,
    heads: 5,
    hidden: 91,
    feedForward: 'gelu_pytorch_tanh',
  },
  'heads narrower than a vector, one token': { B: 1, N: 1, width: 24, heads: 6 },
  'long sequences': { B: 1, N: 200, width: 36, heads: 3 },
};

/** Outputs of the fused and the composed block, with large means in the tokens. */
function both(c: Case, { bf16 = false, strided = false, cast = false } = {}): [fused: Tensor, composed: Tensor] {
  const generator = new Generator(5);
  const { hidden = 4 * c.width, layerScale = false, feedForward = 'gelu' } = c;
  const block = new ViTBlock({ ...c, hidden, layerScale, feedForward, eps: 1e-6, generator });
  noGrad(() => {
    for (const [name, p] of block.namedParameters()) {
      p.normal_(0, 0.2, { generator });
      if (/^norm\d.weight|gamma/.test(name)) p.add_(1);
    }
  });
  if (cast) castProducts(block);
  const x = strided
    ? randn([c.width, c.N, c.B], { generator }).permute([2, 1, 0]).add(3)
    : randn([c.B, c.N, c.width], { generator }).add(3);
  const run = (fused: boolean) =>
    noGrad(() => withFused(fused, () => autocast({ enabled: bf16 }, () => block.forward(x))));
  return [run(true), run(false)];
}

/** Largest difference as a share of the largest number. */
const off = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item() / b.abs().max().item();

describe('the fused ViT block', () => {
  for (const [name, c] of Object.entries(cases)) {
    it(`equals the composed one: ${name}`, () => {
      tidy(() => expect(off(...both(c))).toBeLessThan(3e-6));
    });
    it(`equals the composed one to bfloat16's precision under autocast, cast weights or not: ${name}`, () => {
      tidy(() => {
        const [fused, composed] = both(c, { bf16: true });
        const [again] = both(c, { bf16: true, cast: true });
        expect([fused.dtype, composed.dtype]).toEqual(['f32', 'f32']);
        expect(off(fused, composed)).toBeLessThan(0.02);
        expect(again.toArray()).toEqual(fused.toArray());
      });
    });
  }

  it('takes tokens that are not contiguous', () => {
    tidy(() => expect(off(...both(cases['layer scale']!, { strided: true }))).toBeLessThan(3e-6));
  });

  it('gives an empty batch back', () => {
    tidy(() => expect(both({ B: 0, N: 4, width: 16, heads: 2 })[0].shape).toEqual([0, 4, 16]));
  });

  it('has no part in what is recorded for backward', () => {
    tidy(() => {
      const block = new ViTBlock({
        width: 16,
        heads: 2,
        hidden: 32,
        feedForward: 'gelu',
        layerScale: false,
        eps: 1e-6,
      });
      expect(block.forward(randn([1, 3, 16])).requiresGrad).toBe(true);
    });
  });

  it('is refused where its gradients would be lost, under autocast too', () => {
    tidy(() => {
      const weights = {
        norms: [randn([16]).setRequiresGrad()],
        qkv: [],
        layers: [],
        heads: 2,
        eps: 1e-6,
        gelu: 'exact',
      } as const;
      const call = (enabled: boolean) => () => autocast({ enabled }, () => vitBlock(randn([1, 3, 16]), weights));
      for (const enabled of [false, true]) expect(call(enabled)).toThrow(/no gradients to be recorded/);
    });
  });

  it('takes GELU far from zero as libtorch does', () => {
    tidy(() => {
      const block = new ViTBlock({
        width: 16,
        heads: 2,
        hidden: 64,
        feedForward: 'gelu',
        layerScale: false,
        eps: 1e-6,
      });
      const x = randn([1, 9, 16], { generator: new Generator(1) });
      noGrad(() => block.mlp.namedParameters().forEach(([, p]) => void p.mul_(40)));
      const [fused, composed] = [true, false].map((on) => noGrad(() => withFused(on, () => block.forward(x))));
      expect(off(fused!, composed!)).toBeLessThan(3e-6);
    });
  });
});

it('the decoder equals its composed self with three projections', () => {
  tidy(() => {
    const generator = new Generator(2);
    const decoder = new Decoder({
      channels: 12,
      width: 40,
      depth: 2,
      heads: 5,
      hidden: 72,
      patch: 2,
      tokens: 9,
      generator,
    });
    noGrad(() => decoder.namedParameters().forEach(([, p]) => void p.add_(randn(p.shape, { generator }).mul(0.1))));
    const z = randn([2, 9, 12], { generator });
    const [fused, composed] = [true, false].map((on) => noGrad(() => withFused(on, () => decoder.forward(z))));
    expect(off(fused!, composed!)).toBeLessThan(3e-6);
  });
});
