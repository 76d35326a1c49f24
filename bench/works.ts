// What is measured: for each piece of work the two sides, their configuration, and how a run of it is shown.
import { visionWorks } from './vision-works.ts';

/** What ours is measured beside: `--beside`. */
export type Beside = 'eager' | 'compile' | 'onnx';

export interface Work {
  name: string;
  title: string;
  /** bench/ours/<ours>.ts and bench/peers/<peer>.py. */
  ours: string;
  peer: string;
  /** Handed to both sides, with the number of threads. */
  config: { readonly precision?: 'fp32' | 'bf16'; readonly [option: string]: unknown };
  /** The networks' tokens of a run, of which 6 x parameters x tokens is the arithmetic of a training step: gives the share of the peak. */
  tokens?: number;
  /** False: a forward pass alone, 2 x parameters x tokens. */
  training?: boolean;
  /** What can be run beside ours, eager PyTorch alone when left out. */
  peers?: readonly Beside[];
  /** The name of the work among those that a side serves. */
  run: string;
  /** A run holds this many pieces (default 1), and a time is shown for one. */
  pieces?: number;
  /** Seconds to the unit shown. */
  unit: 'ns' | 'us' | 'ms';
  /** This many runs a sample, instead of half a second's worth. */
  runs?: number;
  /** Packages that the peer needs besides torch. */
  packages?: readonly string[];
  /** The peer writes a file of weights first, of this name; both sides read it (config.weights). */
  weights?: string;
  /** So many JPEGs are drawn first; both sides read them (config.folder). */
  pictures?: number;
  /** Ours also says how much it grew over all runs. */
  growth?: boolean;
}

const clothing = {
  size: 112,
  batch: 16,
  encoder: { width: 192, depth: 12, heads: 3, patch: 16 }, // DeiT-Tiny
  decoder: { width: 192, depth: 6, heads: 3, hidden: 768 },
};

const tiny = {
  inputSize: 5,
  inChannels: 32,
  hiddenSize: [64, 64],
  depth: [4, 2],
  numHeads: [4, 4],
  numClasses: 10,
  batch: 16,
};

/** The network of the clothing recipes. */
export const small = {
  inputSize: 7,
  inChannels: 192,
  hiddenSize: [192, 256],
  depth: [4, 2],
  numHeads: [3, 4],
  numClasses: 10,
  batch: 32,
};

const bLike = {
  inputSize: 16,
  inChannels: 768,
  hiddenSize: [768, 1024],
  depth: [3, 1],
  numHeads: [12, 16],
  numClasses: 10,
  batch: 4,
};

/** All of it. `precision` 'bf16' runs the networks of both sides under autocast. */
export function works(precision: 'fp32' | 'bf16'): Work[] {
  const stage2 = { ours: 'stage2', peer: 'ditdh', run: 'step', unit: 'ms', peers: ['eager', 'compile'] } as const;
  // 7 pairs x 5 runs x 32 pictures: 1,120 a side
  const judges = { ours: 'judges', peer: 'judges', pieces: 32, runs: 5, unit: 'ms' } as const;
  return [
    {
      name: 'call',
      title: 'small add with its free',
      ours: 'call',
      peer: 'call',
      config: { calls: 20_000 },
      run: 'add',
      pieces: 20_000,
      unit: 'ns',
    },
    {
      name: 'block',
      title: 'ViT block, forward and backward: 8 x 197 tokens of 384',
      ours: 'block',
      peer: 'block',
      config: { batch: 8, tokens: 197, width: 384, heads: 6, hidden: 1536 },
      run: 'block',
      unit: 'ms',
    },
    {
      name: 'stage1',
      title: 'stage-1 step, clothing: 112 px, batch 16, L1 + LPIPS',
      ours: 'stage1',
      peer: 'stage1',
      config: { ...clothing, precision },
      run: 'step',
      unit: 'ms',
    },
    {
      name: 'stage1-gan',
      title: 'stage-1 step, clothing, L1 + LPIPS + adversary over DeiT-Tiny at 224 px, both players',
      ours: 'stage1',
      peer: 'stage1',
      config: { ...clothing, disc: { side: 224, depths: [2, 5, 8, 11], kernel: 9 }, precision },
      run: 'adversarial',
      unit: 'ms',
    },
    {
      name: 'stage2-tiny',
      title: 'stage-2 step: 25 tokens, width 64, batch 16',
      config: { ...tiny, precision },
      ...stage2,
      tokens: 16 * 25,
    },
    {
      name: 'stage2-small',
      title: 'stage-2 step, clothing: 49 tokens, 192/256, batch 32',
      config: { ...small, precision },
      ...stage2,
      tokens: 32 * 49,
    },
    {
      name: 'stage2-b',
      title: 'stage-2 step: 256 tokens, 768/1024, batch 4',
      config: { ...bLike, precision },
      ...stage2,
      tokens: 4 * 256,
    },
    ...(['tiny', 'small', 'b'] as const).map((size) => ({
      name: `infer-${size}`,
      title: `a forward pass of stage2-${size}`,
      config: { ...{ tiny, small, b: bLike }[size], precision },
      ...stage2,
      run: 'forward',
      tokens: { tiny: 16 * 25, small: 32 * 49, b: 4 * 256 }[size],
      training: false,
    })),
    ...(
      [
        ['sample', 'unguided'],
        ['sample-cfg', 'CFG in [0.2, 0.8]'],
        ['sample-auto', 'autoguidance, a guide of the same size'],
      ] as const
    ).map(([run, how]) => ({
      name: run,
      title: `49 Euler steps of 16 latents, clothing size, ${how}`,
      config: { ...small, batch: 16, precision },
      ...stage2,
      run,
      runs: 1,
    })),
    ...visionWorks(precision),
    {
      name: 'data',
      title: "JPEGs of 500 x 375 to batches of 32 at 256 px by ADM's crop, as many workers as threads",
      ours: 'data',
      peer: 'data',
      config: { side: 256, batch: 32, ahead: 4 },
      run: 'pass',
      pictures: 256,
      pieces: 256,
      runs: 2,
      unit: 'ms',
      packages: ['pillow'],
    },
    {
      name: 'inception',
      title: "Inception's features of a picture of 256 px, torch-fidelity 0.4.0, 8 at a time",
      ...judges,
      config: { judge: 'inception', pictures: 32, size: 256, batch: 8 },
      run: 'inception',
      weights: 'inception',
      packages: ['torch-fidelity==0.4.0'],
    },
    {
      name: 'lpips',
      title: 'LPIPS (SqueezeNet) of a pair of 256 px, lpips 0.1.4, 8 at a time',
      ...judges,
      config: { judge: 'lpips', pictures: 32, size: 256, batch: 8 },
      run: 'lpips',
      weights: 'lpips',
      packages: ['lpips==0.1.4'],
    },
    {
      name: 'steps',
      title: '10,000 steps of a tiny model',
      ours: 'steps',
      peer: 'steps',
      config: { width: 32, batch: 8 },
      run: 'step',
      unit: 'us',
      runs: 1430, // in 7 pairs 10,000
      growth: true,
    },
  ];
}
