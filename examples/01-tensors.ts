// Tensors, gradients and scopes: fits a line to noisy points by gradient descent.
//   npx tsx examples/01-tensors.ts
import { backward, linspace, manualSeed, memoryStats, noGrad, randn, tidy, zeros } from 'rae-ts/tensor';

manualSeed(0); // from here the numbers of torch.manual_seed(0)
const x = linspace(-1, 1, 200); // [200]
const noise = randn([200]);
const y = tidy(() => x.mul(3).add(1).add(noise, { alpha: 0.1 })); // tidy frees what is not returned
const line = zeros([2]).setRequiresGrad(); // slope and intercept

for (let step = 0; step < 100; step++) {
  tidy(() => {
    const prediction = x.mul(line.select(0, 0)).add(line.select(0, 1));
    backward(prediction.sub(y).square().mean());
    noGrad(() => line.sub_(line.grad!, { alpha: 0.5 }));
    line.setGrad(undefined);
  });
}
console.log(`slope and intercept: ${line}; ${memoryStats().tensors} tensors are alive: x, noise, y, line`);
