// A DiT^DH training step and forward pass as a process that a bench runner drives beside bench/peers/ditdh.py: the configuration is the
// first argument (JSON), commands are lines on standard input (`step N`, `forward N`, `quit`), answers are JSON lines on standard output:
// { ready, name, torch, parameters } once, then { seconds, cpuSeconds, value, peakRss } for each command. `value` is the last loss (or the
// mean square of the velocity) and must agree between the peers: both start from the same numbers.

import { createInterface } from 'node:readline';
import { flowMatchingLoss } from '../src/diffusion/index.ts';
import { DiTwDDTHead } from '../src/models/dit-dh.ts';
import { skipInit } from '../src/nn/index.ts';
import { AdamW, clipGradNorm_, Ema } from '../src/optim/index.ts';
import {
  autocast,
  backward,
  full,
  manualSeed,
  noGrad,
  randn,
  setThreads,
  tensor,
  tidy,
  versions,
} from '../src/tensor/index.ts';

export interface Stage2Bench {
  inputSize: number;
  inChannels: number;
  hiddenSize: [number, number];
  depth: [number, number];
  numHeads: [number, number];
  numClasses: number;
  batch: number;
  precision: 'fp32' | 'bf16';
  threads: number;
}

const config = JSON.parse(process.argv[2]!) as Stage2Bench;
const { batch: B, inChannels: C, inputSize: side } = config;
setThreads(config.threads);

// ── model, the same start on both sides ──────────────────────────────────────────────
const model = skipInit(() => new DiTwDDTHead(config)).train();
const params = model.namedParameters();
manualSeed(0);
noGrad(() => {
  for (const [name, p] of params.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    p.normal_(0, 0.02);
    if (/norm[^.]*\.weight$/.test(name)) p.add_(1);
  }
});
const optimizer = new AdamW(params, { lr: 2e-4, betas: [0.9, 0.95], weightDecay: 0 });
const ema = new Ema(model, { decay: 0.9995 });
const data = randn([B, C, side, side]);
const y = tensor(
  Array.from({ length: B }, (_, i) => i % config.numClasses),
  { dtype: 'i64' },
);
const shift = Math.sqrt(Math.max(4096, C * side * side) / 4096);
const bf16 = { dtype: 'bf16', enabled: config.precision === 'bf16' } as const;
const weights = params.map(([, p]) => p);
let updates = 0;

// ── the two things measured ──────────────────────────────────────────────────────────
function step(): number {
  return tidy(() => {
    optimizer.zeroGrad();
    const { loss } = flowMatchingLoss((x, t) => autocast(bf16, () => model.forward(x, t, y)), data, { shift });
    const mean = loss.mean();
    backward(mean);
    clipGradNorm_(weights, 1);
    optimizer.step();
    ema.update(updates++);
    return mean.item();
  });
}

function forward(): number {
  return tidy(() =>
    noGrad(() => {
      model.eval();
      const v = autocast(bf16, () => model.forward(data, full([B], 0.5), y));
      model.train();
      return v.to('f32').square().mean().item();
    }),
  );
}

// ── commands ─────────────────────────────────────────────────────────────────────────
const answer = (fields: object) => process.stdout.write(`${JSON.stringify(fields)}\n`);
answer({
  ready: true,
  name: 'rae-ts',
  torch: versions().libtorch,
  parameters: weights.reduce((sum, { numel }) => sum + numel, 0),
});
for await (const line of createInterface({ input: process.stdin })) {
  const [command, count] = line.split(' ');
  if (command !== 'step' && command !== 'forward') break;
  const run = command === 'step' ? step : forward;
  const seconds: number[] = [];
  const cpuSeconds: number[] = []; // steadier than the clock on a machine that does other things
  let value = 0;
  for (let i = 0; i < Number(count); i++) {
    const start = performance.now();
    const cpu = process.cpuUsage();
    value = run();
    seconds.push((performance.now() - start) / 1000);
    const { user, system } = process.cpuUsage(cpu);
    cpuSeconds.push((user + system) / 1e6);
  }
  answer({ seconds, cpuSeconds, value, peakRss: process.resourceUsage().maxRSS * 1024 });
}
process.exit(0);
