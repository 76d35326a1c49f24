import { expect, test } from 'vitest';
import { resolveConfig } from '../config/index.ts';
import { createStage2 } from '../models/stage2.ts';
import { dispose, Generator, memoryStats, noGrad, randn, type Tensor, tidy } from '../tensor/index.ts';
import { InterruptedError } from '../util/errors.ts';
import {
  generateBatches,
  generateLatents,
  guidanceOf,
  labelled,
  type SamplingOptions,
  samplingTimes,
} from './generate.ts';
import { chooseLabels, type LabelOf, labelsFor, parseLabels } from './labels.ts';

const config = resolveConfig({
  stage_1: {},
  stage_2: {
    target: 'stage2.models.DDT.DiTwDDTHead',
    params: { input_size: 2, in_channels: 8, hidden_size: [16, 24], depth: [1, 1], num_heads: [2, 2], num_classes: 5 },
  },
  misc: { time_dist_shift_base: 32 },
  guidance: { method: 'cfg', scale: 1.5 },
});
const generator = new Generator(1);
const model = createStage2(config.stage_2!, { generator }).eval().requiresGrad_(false);
noGrad(() => {
  for (const [, p] of model.namedParameters()) p.normal_(0, 0.3, { generator }); // the final layer starts at zero
});
const options: SamplingOptions = {
  method: 'euler',
  steps: 4,
  end: 'reference',
  guidance: guidanceOf(config, model),
  seed: 3,
  batch: 8,
};
const all = labelsFor(config, 'all', { seed: 0 });

/** Latents of pictures `first` to `first + num - 1` as numbers, one list a picture. */
function made(first: number, num: number, more: Partial<SamplingOptions> = {}, labelOf: LabelOf = all): number[][] {
  return [...generateBatches(config, model, labelOf, { ...options, ...more, first, num })].flatMap(({ latents }) => {
    const rows = tidy(() => latents.unbind(0).map((row) => row.toNumbers()));
    latents.dispose();
    return rows;
  });
}

test.each(['euler', 'heun2', 'dopri5'])('picture i is the same bit for bit in any portion (%s)', (method) => {
  const whole = made(0, 21, { method });
  expect(made(0, 3, { method })).toEqual(whole.slice(0, 3));
  expect(made(5, 9, { method })).toEqual(whole.slice(5, 14));
  expect(made(20, 1, { method })).toEqual(whole.slice(20));
  expect(made(5, 0, { method })).toEqual([]);
});

test.each(['euler_maruyama', 'stochastic_heun'])(
  'the noise of a stochastic sampler belongs to its picture too (%s)',
  (method) => {
    const sde = { diffusion: 'sigma', norm: 1, lastStep: 'mean', lastStepSize: 0.04 } as const;
    const whole = made(0, 11, { method, sde });
    expect(made(5, 3, { method, sde })).toEqual(whole.slice(5, 8));
    expect(made(0, 1, { method, sde, seed: 4 })[0]).not.toEqual(whole[0]);
    const still = { ...sde, norm: 0, lastStep: 'euler' } as const; // without diffusion: Euler's steps along the same grid
    expect(made(0, 1, { method, sde: still })).not.toEqual(whole.slice(0, 1));
  },
);

test("a reused encoder is the model's own where it is used once, near it where twice, and nothing is kept", () => {
  const whole = made(0, 9, { steps: 20 });
  expect(made(0, 9, { steps: 20, reuseEncoder: 1 })).toEqual(whole);
  const before = memoryStats().tensors;
  const reused = made(0, 9, { steps: 20, reuseEncoder: 2 });
  expect(memoryStats().tensors).toBe(before);
  expect(reused).not.toEqual(whole);
  expect(made(5, 3, { steps: 20, reuseEncoder: 2 })).toEqual(reused.slice(5, 8));
  const [a, b] = [whole.flat(), reused.flat()];
  const off = Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0) / a.reduce((sum, x) => sum + x * x, 0));
  expect(off).toBeLessThan(0.3);
});

test('what is derived for the linear path is refused on others', () => {
  const gvp = { ...config, transport: { params: { ...config.transport.params, path_type: 'GVP' as const } } };
  expect(() => samplingTimes(gvp, { method: 'dpmpp_2m', steps: 9, end: 'zero' })).toThrow(
    /path_type: expected 'Linear', received 'GVP'/,
  );
});

test('pictures differ by their index, the seed and the label', () => {
  const zero: LabelOf = () => 0;
  const [a, b] = made(0, 2, {}, zero);
  expect(a).not.toEqual(b);
  expect(made(0, 1, { seed: 4 }, zero)[0]).not.toEqual(a);
  expect(made(0, 1, {}, () => 1)[0]).not.toEqual(a);
});

test('given noise takes the place of drawn noise', () => {
  const noise = randn([3, 8, 2, 2], { generator: new Generator(9) });
  const [first, second, third] = made(0, 3, { noise });
  expect(made(1, 1, { noise })[0]).toEqual(second);
  expect(first).not.toEqual(third);
  noise.dispose();
});

test('sampling keeps nothing', () => {
  const run = () => made(0, 10);
  run();
  const before = memoryStats().tensors;
  run();
  expect(memoryStats().tensors).toBe(before);
});

test('onStep can stop it, and nothing is kept then either', () => {
  const before = memoryStats().tensors;
  const onStep = () => {
    throw new InterruptedError('enough', 130);
  };
  expect(() => made(0, 3, { onStep })).toThrow('enough');
  expect(memoryStats().tensors).toBe(before);
});

test('all latents at once are those of the batches', () => {
  const labels = chooseLabels(config, 'all', { num: 11, seed: 0 });
  const { latents, evaluations } = generateLatents(config, model, labels, options);
  expect(latents.unbind(0).map((row) => row.toNumbers())).toEqual(made(0, 11));
  expect(evaluations).toBe(3);
  latents.dispose();
  expect(() => generateLatents(config, model, [5], options)).toThrow(
    'labels: expected classes from 0 to 4, received 5.',
  );
});

test('the grid stops short of zero as the reference does, or ends there', () => {
  const reference = samplingTimes(config, { method: 'euler', steps: 50, end: 'reference' });
  expect([reference.length, reference[0]]).toEqual([50, 1]);
  expect(reference.at(-1)).toBeGreaterThan(0);
  const zero = samplingTimes(config, { method: 'euler', steps: 50, end: 'zero' });
  expect([zero.length, zero.at(-1)]).toEqual([51, 0]);
});

test('autoguidance needs a guide, and a model as its own guide changes nothing', () => {
  const auto = { ...config, guidance: { ...config.guidance, method: 'autoguidance' as const, scale: 2 } };
  expect(() => guidanceOf(auto, model)).toThrow(/a guide network for autoguidance, received none/);
  const [plain] = made(0, 1, { guidance: {} });
  const [guided] = made(0, 1, { guidance: guidanceOf(auto, model, labelled(config, model)) });
  for (const [i, value] of guided!.entries()) expect(value).toBeCloseTo(plain![i]!, 5);
});

test('bf16 is near fp32 and not equal to it', () => {
  const size = (x: Tensor) => tidy(() => x.abs().mean().item());
  const labels = [0, 1, 2];
  const runs = (['fp32', 'bf16'] as const).map(
    (precision) => generateLatents(config, model, labels, { ...options, precision }).latents,
  );
  const off = tidy(() => size(runs[0]!.sub(runs[1]!)) / size(runs[0]!));
  expect(off).toBeGreaterThan(0);
  expect(off).toBeLessThan(0.1);
  dispose(runs);
});

test('labels: all in turn, a list in turn, random ones by seed and index', () => {
  expect(chooseLabels(config, 'all', { num: 7, seed: 0 })).toEqual([0, 1, 2, 3, 4, 0, 1]);
  expect(chooseLabels(config, [4, 2], { num: 3, seed: 0 })).toEqual([4, 2, 4]);
  const random = chooseLabels(config, 'random', { num: 5000, seed: 0 });
  expect(chooseLabels(config, 'random', { num: 10, seed: 0 })).toEqual(random.slice(0, 10));
  expect(chooseLabels(config, 'random', { num: 10, seed: 1 })).not.toEqual(random.slice(0, 10));
  for (const label of [0, 1, 2, 3, 4]) {
    expect(Math.abs(random.filter((other) => other === label).length - 1000)).toBeLessThan(120);
  }
});

test('labels: equal ones are a seeded permutation with every class as often, and a random tail', () => {
  const equal = chooseLabels(config, 'equal', { num: 23, seed: 0 });
  const counts = [0, 1, 2, 3, 4].map((label) => equal.slice(0, 20).filter((other) => other === label).length);
  expect(counts).toEqual([4, 4, 4, 4, 4]);
  expect(equal).toEqual(chooseLabels(config, 'equal', { num: 23, seed: 0 }));
  expect(equal).not.toEqual(chooseLabels(config, 'equal', { num: 23, seed: 1 }));
  expect(equal.slice(0, 5)).not.toEqual([0, 1, 2, 3, 4]);
});

test('labels are read as numbers or names, and what is no class is named', () => {
  const names = ['ring', 'Star', 'moon', 'fish', 'tree'];
  expect(parseLabels('4, ring,star', config, names)).toEqual([4, 0, 1]);
  expect(parseLabels('random', config, names)).toBe('random');
  expect(() => parseLabels('5', config, undefined)).toThrow(
    "--labels: expected 'all', 'random', 'equal' or classes from 0 to 4, received '5'.",
  );
  expect(() => parseLabels('mon', config, names)).toThrow(/received 'mon'\. Did you mean 'moon'\?/);
  expect(() => parseLabels('', config, names)).toThrow(/received ''/);
  const without = { ...config, misc: { ...config.misc, num_classes: 0 } };
  expect(() => parseLabels('ring', without, undefined)).toThrow(
    '--labels: expected none: the model has no classes, received',
  );
});
