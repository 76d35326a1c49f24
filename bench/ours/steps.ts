// Thousands of training steps of a tiny model: what a step costs when nearly all of it is overhead, and whether anything grows.
// The value is the loss of the last step; `flat` answers how many tensors and resident bytes were added since the first asking.
import { Linear, Module } from '../../src/nn/index.ts';
import { AdamW, clipGradNorm_, Ema } from '../../src/optim/index.ts';
import {
  backward,
  gelu,
  keep,
  manualSeed,
  memoryStats,
  mseLoss,
  randn,
  type Tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { configuration, serve } from './serve.ts';
import { drawWeights } from './start.ts';

const { width, batch } = configuration<{ width: number; batch: number }>();

class Tiny extends Module {
  readonly fc1 = new Linear(width, 2 * width);
  readonly fc2 = new Linear(2 * width, width);

  forward(x: Tensor): Tensor {
    return this.fc2.forward(gelu(this.fc1.forward(x)));
  }
}

const model = new Tiny();
manualSeed(0);
drawWeights(model.namedParameters());
const x = keep(randn([batch, width]));
const optimizer = new AdamW(model.namedParameters(), { lr: 1e-3, betas: [0.9, 0.95] });
const parameters = model.parameters();
const ema = new Ema(model, { decay: 0.99 });
let updates = 0;
let first: { tensors: number; resident: number } | undefined;

await serve({
  step: () =>
    tidy(() => {
      optimizer.zeroGrad();
      const loss = mseLoss(model.forward(x), x);
      backward(loss);
      clipGradNorm_(parameters, 1);
      optimizer.step();
      ema.update(updates++);
      return loss.item();
    }),
  tensors: () => {
    first ??= memoryStats();
    return memoryStats().tensors - first.tensors;
  },
  resident: () => {
    first ??= memoryStats();
    return memoryStats().resident - first.resident;
  },
});
