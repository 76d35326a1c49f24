// LPIPS weights by hash (fixtures' README): the trunk under torchvision's names, the heads as lin<k>.model.1.weight.

import { AlexNet } from '../../src/models/alexnet.ts';
import { VGG16 } from '../../src/models/vgg.ts';
import { skipInit } from '../../src/nn/index.ts';
import type { Tensor } from '../../src/tensor/index.ts';
import { hashTensor } from './hash.ts';

const networks = { vgg: () => new VGG16(), alex: () => new AlexNet() };

/** Convolutions: center 0, scale sqrt(6 / fan_in), biases 0.05; heads: center 0.1, scale 0.1. */
export function lpipsHashWeights(net: string, prefix: string): Map<string, Tensor> {
  const trunk = skipInit<VGG16 | AlexNet>(networks[net as keyof typeof networks]);
  const weights = new Map<string, Tensor>();
  for (const [name, { shape }] of trunk.stateDict()) {
    const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
    const scale = shape.length > 1 ? Math.sqrt(6 / fanIn) : 0.05;
    weights.set(name, hashTensor(prefix + name, [...shape], { scale }));
  }
  for (const [k, channels] of trunk.channels.entries()) {
    const name = `lin${k}.model.1.weight`;
    weights.set(name, hashTensor(prefix + name, [1, channels, 1, 1], { center: 0.1, scale: 0.1 }));
  }
  trunk.dispose();
  return weights;
}
