// A DiT^DH training step (forward, backward, clipping, fused AdamW, average), a forward pass, and sampling, beside bench/peers/ditdh.py.
import {
  flowMatchingLoss,
  type Guidance,
  guidedVelocity,
  type LabelledVelocity,
  referenceGrid,
  sampleOde,
} from '../../src/diffusion/index.ts';
import { DiTwDDTHead } from '../../src/models/dit-dh.ts';
import { castProducts, skipInit } from '../../src/nn/index.ts';
import { AdamW, Ema } from '../../src/optim/index.ts';
import { autocast, backward, full, manualSeed, noGrad, randn, tensor, tidy } from '../../src/tensor/index.ts';
import { applyUpdate } from '../../src/train/update.ts';
import { peak } from './peak.ts';
import { configuration, serve } from './serve.ts';
import { drawWeights } from './start.ts';

export interface Stage2Bench {
  inputSize: number;
  inChannels: number;
  hiddenSize: [number, number];
  depth: [number, number];
  numHeads: [number, number];
  numClasses: number;
  batch: number;
  precision: 'fp32' | 'bf16';
  /** Times of sampling, one more than its steps; 50 when left out. */
  times?: number;
}

const config = configuration<Stage2Bench>();
const { batch: B, inChannels: C, inputSize: side } = config;

// ── model, the same start on both sides ──────────────────────────────────────────────
const model = skipInit(() => new DiTwDDTHead(config)).train();
const params = model.namedParameters();
manualSeed(0);
drawWeights(params);
let training: { optimizer: AdamW; ema: Ema } | undefined; // made by the first step: sampling has none
const data = randn([B, C, side, side]);
const y = tensor(
  Array.from({ length: B }, (_, i) => i % config.numClasses),
  { dtype: 'i64' },
);
const shift = Math.sqrt(Math.max(4096, C * side * side) / 4096);
const bf16 = { dtype: 'bf16', enabled: config.precision === 'bf16' } as const;
let updates = 0;

// ── the two things measured ──────────────────────────────────────────────────────────
function step(): number {
  training ??= {
    optimizer: new AdamW(params, { lr: 2e-4, betas: [0.9, 0.95], weightDecay: 0 }),
    ema: new Ema(model, { decay: 0.9995 }),
  };
  const { optimizer, ema } = training;
  return tidy(() => {
    model.train();
    const { loss } = flowMatchingLoss((x, t) => autocast(bf16, () => model.forward(x, t, y)), data, { shift });
    const mean = loss.mean();
    backward(mean);
    const value = mean.item();
    applyUpdate({ params, optimizer, ema, step: updates++, lr: 2e-4, clip: 1, loss: value });
    return value;
  });
}

/** As `--precision bf16` does when it loads a model. It cannot be trained any more. */
function ready(network: DiTwDDTHead): DiTwDDTHead {
  return bf16.enabled ? castProducts(network).eval() : network.eval();
}

function forward(): number {
  return tidy(() =>
    noGrad(() => {
      ready(model);
      const v = autocast(bf16, () => model.forward(data, full([B], 0.5), y));
      return v.to('f32').square().mean().item();
    }),
  );
}

/** Euler steps, 49 when not told otherwise, from `data` as noise. */
function sample(guidance: Guidance): number {
  return tidy(() =>
    noGrad(() => {
      const velocity = guidedVelocity(velocityOf(ready(model)), y, guidance);
      const { x } = sampleOde('euler', velocity, data, { times: referenceGrid(config.times ?? 50, { shift }) });
      return x.square().mean().item();
    }),
  );
}

function velocityOf(network: DiTwDDTHead): LabelledVelocity {
  return (x, t, labels) => autocast(bf16, () => network.forward(x, full([x.size(0)], t), labels)).to('f32');
}

const interval = [0.2, 0.8] as const;
let guide: LabelledVelocity | undefined;

/** Another network of the same size, made when it is first asked for. */
function weaker(): LabelledVelocity {
  if (guide) return guide;
  const network = skipInit(() => new DiTwDDTHead(config)).eval();
  manualSeed(1);
  drawWeights(network.namedParameters());
  guide = velocityOf(ready(network));
  return guide;
}

const sampling = {
  sample: () => sample({}),
  'sample-cfg': () => sample({ cfg: { scale: 1.5, interval, nullLabel: config.numClasses } }),
  'sample-auto': () => sample({ auto: { scale: 1.5, guide: weaker() } }),
};

await serve({ step, forward, ...sampling, peak: () => peak(config.precision) }, { parameters: model.numParameters() });
