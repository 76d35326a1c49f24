// The fused block against the composed one: values, gradients, dtypes, odd sizes.
import { describe, expect, test } from 'vitest';
import {
  autocast,
  backward,
  Generator,
  noGrad,
  ones,
  randn,
  type Tensor,
  tidy,
  withFused,
} from '../../tensor/index.ts';
import { DitBlock } from './dit-block.ts';
import { Rope2d } from './rope.ts';

interface Case {
  B: number;
  grid: [number, number];
  width: number;
  heads: number;
  perToken?: boolean;
  rope?: boolean;
}

const cases: Record<string, Case> = {
  'a condition for a picture': { B: 2, grid: [5, 5], width: 64, heads: 4 },
  'a condition for a token': { B: 2, grid: [3, 4], width: 64, heads: 2, perToken: true },
  'odd sizes, more than one block of tokens': { B: 3, grid: [7, 10], width: 60, heads: 5 },
  'odd sizes, a condition for a token': { B: 1, grid: [1, 65], width: 36, heads: 3, perToken: true },
  'heads narrower than a vector, no positions': { B: 1, grid: [1, 1], width: 24, heads: 6, rope: false },
};

/** Result and all gradients of a block with random weights. */
function run(c: Case, fused: boolean, { bf16 = false, strided = false } = {}): Record<string, Tensor> {
  const generator = new Generator(7);
  const N = c.grid[0] * c.grid[1];
  const block = new DitBlock({ width: c.width, heads: c.heads, generator });
  const rope = c.rope === false ? undefined : new Rope2d(c.width / c.heads, ...c.grid);
  noGrad(() => {
    for (const [name, p] of block.namedParameters()) {
      p.normal_(0, 0.2, { generator });
      if (name.startsWith('norm')) p.add_(1);
    }
  });
  const draw = (rows: number) =>
    strided
      ? randn([c.width, rows, c.B], { generator }).permute([2, 1, 0])
      : randn([c.B, rows, c.width], { generator });
  const x = draw(N).setRequiresGrad();
  const condition = draw(c.perToken ? N : 1).setRequiresGrad();
  const y = withFused(fused, () => autocast({ enabled: bf16 }, () => block.forward(x, condition, rope)));
  backward(y.mul(randn([c.B, N, c.width], { generator })).sum([0, 1, 2]));
  const gradients = block.namedParameters().map(([name, p]) => [name, p.grad!]);
  return { y, x: x.grad!, condition: condition.grad!, ...Object.fromEntries(gradients) };
}

function expectClose(got: Record<string, Tensor>, want: Record<string, Tensor>, tolerance: number): void {
  for (const [name, b] of Object.entries(want)) {
    const a = got[name]!;
    expect([name, a.shape, a.dtype]).toEqual([name, b.shape, b.dtype]);
    const scale = b.to('f32').abs().max().item() + 1e-3;
    expect(a.to('f32').sub(b.to('f32')).abs().max().item() / scale, name).toBeLessThan(tolerance);
  }
}

/** Both are off by bfloat16's rounding, which falls differently for a draw. */
function expectAsNear(got: Record<string, Tensor>, want: Record<string, Tensor>, exact: Record<string, Tensor>): void {
  const off = (a: Tensor, b: Tensor) => a.to('f32').sub(b).square().mean().sqrt().item();
  for (const [name, b] of Object.entries(exact)) {
    expect([name, got[name]!.shape, got[name]!.dtype]).toEqual([name, want[name]!.shape, want[name]!.dtype]);
    expect(off(got[name]!, b), name).toBeLessThan(2 * off(want[name]!, b));
  }
}

describe('the fused DiT block', () => {
  for (const [name, c] of Object.entries(cases)) {
    test(`equals the composed one, values and gradients: ${name}`, () => {
      tidy(() => expectClose(run(c, true), run(c, false), 1e-5));
    });
    test(`is as near to float32 as the composed one under autocast: ${name}`, () => {
      tidy(() => expectAsNear(run(c, true, { bf16: true }), run(c, false, { bf16: true }), run(c, false)));
    });
  }

  test('takes inputs that are not contiguous', () => {
    const c = cases['a condition for a picture']!;
    tidy(() => expectClose(run(c, true, { strided: true }), run(c, false, { strided: true }), 1e-5));
  });

  test('gives an empty batch back', () => {
    const block = new DitBlock({ width: 32, heads: 2 });
    const y = noGrad(() => block.forward(randn([0, 4, 32]), randn([0, 1, 32])));
    expect(y.shape).toEqual([0, 4, 32]);
  });

  test('keeps a bfloat16 residual in bfloat16 under autocast, as the composed one does', () => {
    const dtype = (fused: boolean) =>
      withFused(fused, () =>
        tidy(() => {
          const block = new DitBlock({ width: 32, heads: 2 });
          const [x, condition] = [randn([2, 4, 32]).to('bf16'), randn([2, 4, 32]).to('bf16')];
          return noGrad(() => autocast({}, () => block.forward(x, condition))).dtype;
        }),
      );
    expect(dtype(true)).toBe('bf16');
    expect(dtype(false)).toBe('bf16');
  });

  test('leaves frozen weights without gradient and other gradients as they are', () => {
    tidy(() => {
      const block = new DitBlock({ width: 32, heads: 2 });
      block.attn.qkv.weight.setRequiresGrad(false);
      backward(block.forward(randn([2, 4, 32]), ones([2, 1, 32])).sum([0, 1, 2]));
      expect(block.attn.qkv.weight.grad).toBeUndefined();
      expect(block.attn.proj.weight.grad?.shape).toEqual([32, 32]);
    });
  });
});
