import { afterEach, describe, expect, test } from 'vitest';
import { Generator, memoryStats, noGrad, randn, tensor, tidy } from '../tensor/index.ts';
import { ConfigError } from '../util/errors.ts';
import { LightningDiT, type LightningDiTOptions } from './dit.ts';
import { createStage2 } from './stage2.ts';

const tiny = {
  inputSize: 4,
  inChannels: 8,
  hiddenSize: 64,
  depth: 2,
  numHeads: 4,
  numClasses: 100,
} as const satisfies LightningDiTOptions;

const made: { dispose(): void }[] = [];

function build(options: Partial<LightningDiTOptions> = {}): LightningDiT {
  const model = new LightningDiT({ ...tiny, generator: new Generator(0), ...options }).eval();
  made.push(model);
  return model;
}

afterEach(() => {
  for (const model of made.splice(0)) model.dispose();
});

describe('LightningDiT', () => {
  const x = () => randn([2, 8, 4, 4]);
  const t = () => tensor([0.2, 0.9]);
  const y = () => tensor([0, 99], { dtype: 'i64' });

  test('gives exactly zero before training', () => {
    expect(build().forward(x(), t(), y()).abs().max().item()).toBe(0);
  });

  test('starts with Xavier weights and zero biases in every linear layer but the last', () => {
    for (const [key, p] of build().namedParameters()) {
      const std = tidy(() => p.square().mean().sqrt().item());
      const slack = 1 + 5 / Math.sqrt(p.numel);
      const [out, inputs] = [p.shape[0]!, p.numel / p.shape[0]!];
      const want = /bias$|adaLN|final_layer\.linear/.test(key)
        ? 0
        : /^t_embedder\.mlp|embedding_table/.test(key)
          ? 0.02
          : /norm|\.W$/.test(key)
            ? 1
            : key === 'pos_embed'
              ? Math.SQRT1_2
              : Math.sqrt(2 / (inputs + out));
      expect(std, key).toBeGreaterThanOrEqual(want / slack);
      expect(std, key).toBeLessThanOrEqual(want * slack);
    }
  });

  test('throws away the second half of its channels with learnSigma', () => {
    const model = build({ learnSigma: true });
    expect(model.stateDict().get('final_layer.linear.weight')?.shape).toEqual([16, 64]);
    expect(noGrad(() => model.forward(x(), t(), y())).shape).toEqual([2, 8, 4, 4]);
  });

  test('takes rectangular latents in patches', () => {
    const model = build({ inputSize: [2, 6], patchSize: 2 });
    expect(model.forward(randn([2, 8, 2, 6]), t(), y()).shape).toEqual([2, 8, 2, 6]);
  });
});

describe('createStage2', () => {
  test('makes the class that the last part of the target names, from snake_case parameters', () => {
    const params = {
      input_size: 4,
      in_channels: 8,
      hidden_size: 16,
      depth: 1,
      num_heads: 2,
      use_gembed: true,
      learn_sigma: null,
    };
    const model = createStage2({ target: 'stage2.models.lightningDiT.LightningDiT', params });
    made.push(model);
    expect(model).toBeInstanceOf(LightningDiT);
    expect(model.inputSize).toEqual([4, 4]);
    expect(model.nullLabel).toBe(1000);
  });

  test('names the near class when it does not know the target', () => {
    expect(() => createStage2({ target: 'stage2.models.DDT.DiTwDDTHaed', params: {} })).toThrow(ConfigError);
    expect(() => createStage2({ target: 'stage2.models.DDT.DiTwDDTHaed', params: {} })).toThrow(
      /Did you mean 'DiTwDDTHead'/,
    );
  });
});

test('one that is built outside of a scope leaves nothing behind when it is disposed', () => {
  const before = memoryStats().tensors;
  new LightningDiT({ inputSize: 2, inChannels: 4, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 3 }).dispose();
  expect(memoryStats().tensors).toBe(before);
});
