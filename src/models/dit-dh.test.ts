import { afterEach, describe, expect, test } from 'vitest';
import { AdamW } from '../optim/index.ts';
import {
  backward,
  Generator,
  memoryStats,
  noGrad,
  ones,
  randn,
  setThreads,
  type Tensor,
  tensor,
  tidy,
} from '../tensor/index.ts';
import { ArgumentError, ShapeError } from '../util/errors.ts';
import { DiTwDDTHead, type DiTwDDTHeadOptions } from './dit-dh.ts';

const tiny = {
  inputSize: 4,
  inChannels: 8,
  hiddenSize: [16, 24],
  depth: [2, 1],
  numHeads: [2, 2],
  numClasses: 5,
} as const satisfies DiTwDDTHeadOptions;

const made: DiTwDDTHead[] = [];

function build(options: Partial<DiTwDDTHeadOptions> = {}, seed = 0): DiTwDDTHead {
  const model = new DiTwDDTHead({ ...tiny, generator: new Generator(seed), ...options }).eval();
  made.push(model);
  return model;
}

/** Adds noise to every parameter, so that what starts at zero takes part. */
function shake(model: DiTwDDTHead, seed = 1): DiTwDDTHead {
  const generator = new Generator(seed);
  tidy(() =>
    noGrad(() => {
      for (const p of model.parameters()) p.add_(randn(p.shape, { generator }).mul(0.2));
    }),
  );
  return model;
}

function inputs(batch = 3, shape: readonly number[] = [8, 4, 4], seed = 2) {
  const generator = new Generator(seed);
  const x = randn([batch, ...shape], { generator });
  const t = tensor(Array.from({ length: batch }, (_, i) => (i + 1) / (batch + 1)));
  const y = tensor(
    Array.from({ length: batch }, (_, i) => i % 5),
    { dtype: 'i64' },
  );
  return { x, t, y };
}

afterEach(() => {
  for (const model of made.splice(0)) model.dispose();
});

describe('DiTwDDTHead', () => {
  test('gives exactly zero before training', () => {
    const { x, t, y } = inputs();
    expect(build().forward(x, t, y).abs().max().item()).toBe(0);
  });

  test('does not look at the encoder when s is given', () => {
    const model = shake(build());
    const { x, t, y } = inputs();
    const s = model.forwardEncoder(x, t, y);
    expect(s.shape).toEqual([3, 16, 16]);
    expect(difference(model.forward(x, t, y, { s }), model.forward(x, t, y))).toBe(0);
    expect(difference(model.forward(x, t.mul(0), y, { s }), model.forward(x, t, y))).toBe(0);
  });

  test('drops the labels of the mask, in training mode of a mask drawn from the generator, in evaluation none', () => {
    const model = shake(build({ classDropoutProb: 0.5 }));
    const { x, t, y } = inputs();
    const nothing = model.forward(x, t, tensor([5, 5, 5], { dtype: 'i64' }));
    const all = ones([3]).eq(1);
    expect(difference(model.forward(x, t, y, { dropMask: all }), nothing)).toBe(0);
    expect(difference(model.forward(x, t, y), nothing)).toBeGreaterThan(0);
    model.train();
    const drawn = (seed: number) => model.forward(x, t, y, { generator: new Generator(seed) });
    expect(difference(drawn(3), drawn(3))).toBe(0);
    const outcomes = new Set(Array.from({ length: 8 }, (_, seed) => difference(drawn(seed), nothing)));
    expect(outcomes.size).toBeGreaterThan(1);
  });

  test('repeats each encoder token over the head tokens that it covers when patch sizes differ', () => {
    const model = shake(build({ patchSize: [2, 1] }));
    const { x, t, y } = inputs();
    const s = model.forwardEncoder(x, t, y).view([3, 4, 4, 16]);
    expect(difference(s.select(1, 0), s.select(1, 1))).toBe(0);
    expect(difference(s.select(2, 2), s.select(2, 3))).toBe(0);
    expect(difference(s.select(1, 1), s.select(1, 2))).toBeGreaterThan(0);
    expect(model.forward(x, t, y).shape).toEqual([3, 8, 4, 4]);
  });

  test('takes patches of two by two', () => {
    const { x, t, y } = inputs();
    expect(shake(build({ patchSize: 2 })).forward(x, t, y).shape).toEqual([3, 8, 4, 4]);
  });

  test('is the same network for a side and for two equal sides', () => {
    const { x, t, y } = inputs();
    const [square, rectangle] = [shake(build({ inputSize: 4 })), shake(build({ inputSize: [4, 4] }))];
    expect(difference(square.forward(x, t, y), rectangle.forward(x, t, y))).toBe(0);
  });

  test('takes rectangular latents', () => {
    const model = shake(build({ inputSize: [2, 6] }));
    const { x, t, y } = inputs(3, [8, 2, 6]);
    expect(model.forward(x, t, y).shape).toEqual([3, 8, 2, 6]);
    expect(model.stateDict().get('dec_feat_rope.freqs_cos')?.shape).toEqual([12, 12]);
  });

  test('needs no labels when it has no classes', () => {
    const model = shake(build({ numClasses: 0 }));
    const { x, t } = inputs();
    expect(model.nullLabel).toBeUndefined();
    expect([...model.stateDict().keys()].filter((key) => key.startsWith('y_'))).toEqual([]);
    expect(model.forward(x, t, undefined).shape).toEqual([3, 8, 4, 4]);
  });

  test('modulates without shifts by four chunks', () => {
    const model = shake(build({ woShift: true }));
    const { x, t, y } = inputs();
    expect(model.stateDict().get('blocks.0.adaLN_modulation.1.weight')?.shape).toEqual([64, 16]);
    expect(model.forward(x, t, y).isfinite().all().item()).toBe(1);
  });

  test('leaves no tensors behind', () => {
    const model = shake(build());
    tidy(() => {
      const { x, t, y } = inputs();
      const before = memoryStats().tensors;
      noGrad(() => model.forward(x, t, y)).dispose();
      expect(memoryStats().tensors).toBe(before);
    });
  });

  test.each([
    ['a latent of another size', () => build().forward(randn([1, 8, 5, 4]), tensor([0]), undefined), ShapeError],
    ['times of another number', () => build().forward(inputs().x, tensor([0]), inputs().y), ShapeError],
    ['missing labels', () => build().forward(inputs().x, inputs().t, undefined), ArgumentError],
    ['head patches larger than encoder patches', () => build({ patchSize: [1, 2] }), ArgumentError],
    ['patches that do not divide the latent', () => build({ patchSize: 3 }), ArgumentError],
    ['heads whose width is no multiple of four', () => build({ numHeads: [8, 2] }), ArgumentError],
    ['heads that do not divide the width', () => build({ numHeads: [3, 2] }), ArgumentError],
    [
      'a drop mask without a null label',
      () => {
        const { x, t, y } = inputs();
        build({ classDropoutProb: 0 }).forward(x, t, y, { dropMask: ones([3]).eq(1) });
      },
      ArgumentError,
    ],
  ])('refuses %s', (_, run, error) => {
    expect(run).toThrow(error);
  });
});

describe('initial values', () => {
  // Mean 0, and this standard deviation, within what the number of values allows.
  const width = { enc: 64, dec: 96 };
  const uniform = (fanIn: number) => 1 / Math.sqrt(3 * fanIn); // U(-1/sqrt(fanIn), 1/sqrt(fanIn)), the default of PyTorch's Linear
  const xavier = (fanIn: number, fanOut: number) => Math.sqrt(2 / (fanIn + fanOut));
  const deviations: [RegExp, number | ((shape: readonly number[]) => number)][] = [
    [/^[xs]_embedder\.proj\.weight$/, ([out, inputs]) => xavier(inputs!, out!)],
    [/^[xs]_embedder\.proj\.bias$/, 0],
    [/^t_embedder\.W$/, 1],
    [/^t_embedder\.mlp\.[02]\.weight$/, 0.02],
    [/^t_embedder\.mlp\.0\.bias$/, uniform(512)],
    [/^t_embedder\.mlp\.2\.bias$/, uniform(width.enc)],
    [/^y_embedder\.embedding_table\.weight$/, 0.02],
    [/adaLN_modulation\.1\.(weight|bias)$/, 0],
    [/^final_layer\.linear\.(weight|bias)$/, 0],
    [/(qkv|proj|w12|w3|s_projector)\.weight$/, ([, inputs]) => uniform(inputs!)],
    [/^s_projector\.bias$/, uniform(width.enc)],
    [/^blocks\.[01]\.(attn\.(qkv|proj)|mlp\.w12)\.bias$/, uniform(width.enc)],
    [/^blocks\.2\.(attn\.(qkv|proj)|mlp\.w12)\.bias$/, uniform(width.dec)],
    [/^blocks\.[01]\.mlp\.w3\.bias$/, uniform(170)],
    [/^blocks\.2\.mlp\.w3\.bias$/, uniform(256)],
  ];

  test('are those of the reference, parameter by parameter', () => {
    const model = build({ hiddenSize: [width.enc, width.dec], inChannels: 32, numClasses: 100 });
    for (const [key, p] of model.namedParameters()) {
      if (/norm/.test(key)) {
        expect([key, p.min().item(), p.max().item()]).toEqual([key, 1, 1]);
        continue;
      }
      if (key === 'pos_embed') continue;
      const rule = deviations.find(([pattern]) => pattern.test(key));
      if (!rule) throw new Error(`no rule for ${key}`);
      const want = typeof rule[1] === 'number' ? rule[1] : rule[1](p.shape);
      const [mean, std] = tidy(() => [p.mean().item(), p.square().mean().sqrt().item()]);
      const slack = 5 / Math.sqrt(p.numel); // five standard errors of the mean
      expect(Math.abs(mean), `${key}: mean`).toBeLessThanOrEqual(slack * want);
      expect(Math.abs(std - want), `${key}: deviation ${std}, expected ${want}`).toBeLessThanOrEqual(slack * want);
    }
  });

  test('are the same for the same seed', () => {
    const [a, b] = [build({}, 7), build({}, 7)];
    for (const [key, p] of a.stateDict()) expect(difference(p, b.stateDict().get(key)!), key).toBe(0);
  });
});

describe('overfitting one latent', () => {
  // The paper's table 3 in miniature: a denoiser narrower than its tokens cannot represent the velocity.
  const losses = (hiddenSize: [number, number]): number[] => {
    setThreads(1); // tiny matrices: a second thread only waits
    const options = { inChannels: 24, hiddenSize, depth: [2, 2], numHeads: [2, 2], numClasses: 1 } as const;
    const model = build(options).train();
    const optimizer = new AdamW(model.namedParameters(), { lr: 2e-3, betas: [0.9, 0.95] });
    const generator = new Generator(3);
    const B = 16;
    const latent = randn([1, 24, 4, 4], { generator });
    const y = tensor(new Array(B).fill(0), { dtype: 'i64' });
    const history = Array.from({ length: 150 }, () =>
      tidy(() => {
        const noise = randn([B, 24, 4, 4], { generator });
        const t = tensor(Array.from({ length: B }, (_, i) => (i + 0.5) / B));
        const weight = t.view([B, 1, 1, 1]);
        const x = latent.mul(weight.neg().add(1)).add(noise.mul(weight));
        optimizer.zeroGrad();
        const loss = model.forward(x, t, y, { generator }).sub(noise.sub(latent)).square().mean();
        backward(loss);
        optimizer.step();
        return loss.item();
      }),
    );
    optimizer.dispose();
    return history;
  };
  const last = (history: number[]) => history.slice(-10).reduce((sum, loss) => sum + loss, 0) / 10;

  test('a wide head brings the loss down tenfold in 150 steps, one narrower than the tokens does not', () => {
    const wide = losses([48, 64]);
    expect(last(wide)).toBeLessThan(wide[0]! / 10);
    const narrow = losses([48, 16]);
    expect(last(narrow)).toBeGreaterThan(2 * last(wide));
  });
});

function difference(a: Tensor, b: Tensor): number {
  return tidy(() => a.sub(b).abs().max().item());
}

test('one that is built outside of a scope leaves nothing behind when it is disposed', () => {
  const before = memoryStats().tensors;
  new DiTwDDTHead({
    inputSize: 2,
    inChannels: 4,
    hiddenSize: [16, 16],
    depth: [1, 1],
    numHeads: [2, 2],
    numClasses: 3,
  }).dispose();
  expect(memoryStats().tensors).toBe(before);
});
