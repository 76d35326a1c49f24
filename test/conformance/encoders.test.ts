// What every encoder promises, whatever its family. A family of the registry without a row here fails.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Decoder } from '../../src/models/decoder.ts';
import { Encoder, type EncoderSpec, encoders } from '../../src/models/encoders/index.ts';
import { Rae } from '../../src/models/rae.ts';
import { autocast, memoryStats, noGrad, rand, randn, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { RaeError } from '../../src/util/errors.ts';
import { encoderFromState } from '../../src/weights/encoder-state.ts';
import { type KeyTable, translateBack } from '../../src/weights/key-table.ts';
import { loadEncoder, saveEncoder } from '../../src/weights/load-encoder.ts';
import { dinov2Table, dinov3GatedTable, dinov3Table, maeTable, siglipTable } from '../../src/weights/vit-tables.ts';

const { dino, dinov2, dinov3, siglip2, mae, deit } = encoders;
const size = { width: 16, depth: 3, heads: 2, hidden: 24, patch: 4, imageSize: 12 };

/** What a family's files are called in; undefined where they have our names. */
interface Row {
  spec: EncoderSpec;
  table?: KeyTable;
  /** Keys that only such a file has. */
  extra?: Record<string, readonly number[]>;
}

const rows: Record<string, Row> = {
  dinov2: { spec: dinov2(size), table: dinov2Table, extra: { 'embeddings.mask_token': [1, 16] } },
  'dinov2 without registers': { spec: dinov2({ ...size, registers: 0 }), table: dinov2Table },
  'dinov2 with SwiGLU': { spec: dinov2({ ...size, swiglu: true }), table: dinov2Table },
  dinov3: { spec: dinov3(size), table: dinov3Table, extra: { 'embeddings.mask_token': [1, 1, 16] } },
  'dinov3 with SwiGLU': { spec: dinov3({ ...size, swiglu: true }), table: dinov3GatedTable },
  'dinov3, several blocks': { spec: { ...dinov3(size), layers: [0, 2], addMean: true }, table: dinov3Table },
  siglip2: { spec: siglip2(size), table: siglipTable, extra: { 'head.probe': [1, 1, 16] } },
  mae: { spec: mae(size), table: maeTable },
  deit: { spec: deit(size), extra: { 'head.weight': [5, 16], 'head.bias': [5] } },
  dino: { spec: dino(size) },
};

it('every family of the registry has a row', () => {
  const covered = new Set(Object.values(rows).map(({ spec }) => spec.family));
  expect(Object.keys(encoders).filter((family) => !covered.has(family))).toEqual([]);
});

const folder = mkdtempSync(join(tmpdir(), 'rae-conformance-'));
afterAll(() => rmSync(folder, { recursive: true }));

const largest = (x: Tensor) => x.abs().max().item();

describe.each(Object.entries(rows))('%s', (name, { spec, table, extra = {} }) => {
  const encoder = new Encoder(spec).eval().requiresGrad_(false);
  if (table?.zero) for (const { attn } of encoder.vit.blocks) attn.qkv.bias!.narrow(0, size.width, size.width).zero_();
  afterAll(() => encoder.dispose());
  const encode = (pixels: Tensor) => noGrad(() => encoder.forward(pixels));

  it.each([
    [12, 12],
    [20, 20],
    [8, 24],
    [4, 4],
  ])('gives a token of its width for every patch of %i x %i pixels, and nothing else', (height, width) => {
    tidy(() => expect(encode(randn([2, 3, height, width])).shape).toEqual([2, (height * width) / 16, 16]));
  });

  it('gives the same bits again, no gradient, and leaves no tensor behind', () => {
    tidy(() => {
      const pixels = randn([2, 3, 12, 12]);
      const first = encoder.forward(pixels);
      const before = memoryStats().tensors;
      const again = encoder.forward(pixels);
      expect(memoryStats().tensors).toBe(before + 1);
      expect(again.toNumbers()).toEqual(first.toNumbers());
      expect([first.requiresGrad, encoder.training]).toEqual([false, false]);
    });
  });

  it('sees each picture of a batch alone', () => {
    tidy(() => {
      const pixels = randn([3, 3, 12, 12]);
      const together = encode(pixels);
      for (let i = 0; i < 3; i++) {
        expect(largest(encode(pixels.narrow(0, i, 1)).sub(together.narrow(0, i, 1)))).toBeLessThan(1e-5);
      }
    });
  });

  it('knows where patches lie: other positions give other tokens', () => {
    tidy(() => {
      const tokens = encode(tensor([0.5]).expand([1, 3, 12, 12])); // nine equal patches
      expect(largest(tokens.select(1, 0).sub(tokens.select(1, 8)))).toBeGreaterThan(1e-4);
    });
  });

  it('stays near its float32 tokens in bfloat16, by autocast and as a whole', () => {
    tidy(() => {
      const pixels = randn([2, 3, 12, 12]);
      const exact = encode(pixels);
      const cast = autocast({ dtype: 'bf16' }, () => encode(pixels)).to('f32');
      const whole = noGrad(() => {
        const half = new Encoder(spec).eval().requiresGrad_(false);
        half.loadStateDict(encoder.stateDict());
        const tokens = half.to({ dtype: 'bf16' }).forward(pixels);
        expect(tokens.dtype).toBe('bf16');
        half.dispose();
        return tokens.to('f32');
      });
      for (const rough of [cast, whole]) {
        expect(rough.sub(exact).square().mean().sqrt().item()).toBeLessThan(0.05 * exact.square().mean().sqrt().item());
      }
    });
  });

  it('ends in tokens of mean 0 and variance 1, the rule of RAE, unless several blocks are averaged', () => {
    if (spec.layers) return;
    tidy(() => {
      const tokens = encode(randn([1, 3, 12, 12]));
      expect(largest(tokens.mean([-1]))).toBeLessThan(1e-5);
      expect(largest(tokens.square().mean([-1]).sub(1))).toBeLessThan(1e-3);
    });
  });

  it('is shown pixels by its own mean and deviation, as the RAE normalises them', () => {
    expect([spec.mean.length, spec.std.length, spec.std.every((s) => s > 0)]).toEqual([3, 3, true]);
    tidy(() => {
      const decoder = new Decoder({ channels: 16, width: 16, depth: 1, heads: 2, hidden: 16, patch: 4, tokens: 9 });
      const rae = new Rae({ encoder, decoder, encoderInputSize: 12, reshapeTo2d: false }).eval();
      const pixels = rand([2, 3, 12, 12]);
      const [mean, std] = [spec.mean, spec.std].map((values) => tensor([...values]).reshape([3, 1, 1])) as [
        Tensor,
        Tensor,
      ];
      expect(largest(rae.encode(pixels).sub(encode(pixels.sub(mean).div(std))))).toBeLessThan(1e-5);
      decoder.dispose();
    });
  });

  it('refuses sides that its patches do not fill, and pictures that have no three channels, with errors of ours', () => {
    tidy(() => {
      expect(() => encode(randn([1, 3, 13, 12]))).toThrow(
        /expected sides divisible by the patch size 4, received 13 x 12/,
      );
      for (const shape of [
        [1, 1, 12, 12],
        [3, 12, 12],
      ])
        expect(() => encode(randn(shape))).toThrow(RaeError);
    });
  });

  it('comes back from a file in the names of its publisher, with what that holds beside', () => {
    const affine = new Encoder({ ...spec, vit: { ...spec.vit, finalNorm: 'affine' } });
    tidy(() => {
      affine.vit.loadStateDict(encoder.vit.stateDict(), { strict: false });
      const ours = affine.vit.stateDict();
      const theirs = new Map(table ? translateBack(table, ours) : ours);
      for (const [key, shape] of Object.entries(extra)) theirs.set(key, randn(shape));
      const { layers, addMean } = spec;
      const loaded = encoderFromState(theirs, { heads: 2, eps: spec.vit.eps, layers, addMean });
      const family = name === 'dino' ? 'deit' : spec.family; // of DINO's sizes only: load-encoder.test.ts
      expect(loaded.spec.family).toBe(family);
      const pixels = randn([1, 3, 12, 12]);
      expect(largest(noGrad(() => loaded.forward(pixels)).sub(encode(pixels)))).toBeLessThan(1e-6);
      expect(loaded.parameters().some((p) => p.requiresGrad)).toBe(false);
      loaded.dispose();
    });
    affine.dispose();
  });

  it('comes back from a file of our own with its whole specification', () => {
    const path = join(folder, 'own.safetensors');
    saveEncoder(path, encoder.vit, encoder.spec);
    const loaded = loadEncoder(path);
    expect(loaded.spec).toEqual(spec);
    tidy(() => {
      const pixels = randn([1, 3, 20, 12]);
      expect(noGrad(() => loaded.forward(pixels)).toNumbers()).toEqual(encode(pixels).toNumbers());
    });
    loaded.dispose();
  });
});
