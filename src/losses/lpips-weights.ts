// LPIPS from whatever weights are at hand: the network is told from the keys. Known are torchvision's names (`features.0.weight`), the
// slices of the lpips package and of the reference (`net.slice2.5.weight`), and heads as `lin0.weight` or `lin0.model.1.weight` (vgg.pth).

import { AlexNet } from '../models/alexnet.ts';
import { SqueezeNet } from '../models/squeezenet.ts';
import { VGG16 } from '../models/vgg.ts';
import { skipInit } from '../nn/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { type FeatureTrunk, Lpips } from './lpips.ts';

/** Each trunk, a key that only it has, and the positions of its layers in each slice of the lpips package. */
const trunks = {
  squeeze: {
    make: () => new SqueezeNet(),
    mark: 'features.3.squeeze.weight',
    slices: [[0], [3, 4], [6, 7], [9], [10], [11], [12]],
  },
  vgg: {
    make: () => new VGG16(),
    mark: 'features.28.weight',
    slices: [
      [0, 2],
      [5, 7],
      [10, 12, 14],
      [17, 19, 21],
      [24, 26, 28],
    ],
  },
  alex: { make: () => new AlexNet(), mark: 'features.3.weight', slices: [[0], [3], [6], [8], [10]] },
};

/**
 * Builds LPIPS from a state dict that holds the trunk's convolutions and the heads; give the union of two files where they are apart
 * (torchvision's vgg16 and vgg.pth). Classifier weights and the constants of the lpips package are passed over.
 * @throws WeightsError when no known network is found, or a key is missing or mis-shaped
 */
export function lpipsFromWeights(weights: ReadonlyMap<string, Tensor>): Lpips {
  const named = canonicalNames(weights);
  const found = Object.values(trunks).find(({ mark }) => named.has(mark));
  if (!found)
    throw new WeightsError(
      expected(
        'lpipsFromWeights',
        'the convolutions of SqueezeNet 1.1, VGG16 or AlexNet under torchvision names (features.0.weight)',
        `${weights.size} keys such as ${[...weights.keys()].slice(0, 3).join(', ')}`,
        'Heads alone (vgg.pth) need the file of their network beside them.',
      ),
    );
  const trunk = skipInit<FeatureTrunk>(found.make);
  trunk.loadStateDict(new Map([...named].filter(([key]) => key.startsWith('features.'))));
  const heads = trunk.channels.map((channels, i) => {
    const head = named.get(`lin${i}.weight`);
    if (!head || head.numel !== channels)
      throw new WeightsError(
        expected('lpipsFromWeights', `a head 'lin${i}' of shape [1, ${channels}, 1, 1]`, head ? head.shape : 'none'),
      );
    return head.reshape([1, channels, 1, 1]);
  });
  return new Lpips(trunk, heads);
}

/** Which network a file of weights holds, from its keys; undefined for none that is known. */
export function lpipsNetwork(weights: ReadonlyMap<string, Tensor>): keyof typeof trunks | undefined {
  const named = canonicalNames(weights);
  return (Object.keys(trunks) as (keyof typeof trunks)[]).find((name) => named.has(trunks[name].mark));
}

/** The weights under the names `features.<torchvision key>` and `lin<k>.weight`. */
function canonicalNames(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const named = new Map<string, Tensor>();
  const slices = sliceLayout(weights);
  for (const [key, tensor] of weights) {
    const head = /^lins?\.?(\d+)\.(?:model\.1\.)?weight$/.exec(key);
    const slice = /^net\.slice(\d+)\.(\d+)\.(.+)$/.exec(key);
    if (head) named.set(`lin${head[1]}.weight`, tensor);
    else if (slice) named.set(`features.${slices.get(`${slice[1]}.${slice[2]}`)}.${slice[3]}`, tensor);
    else if (key.startsWith('features.')) named.set(key, tensor);
  }
  return named;
}

/** `slice.position` -> torchvision position. Positions count through the network (lpips package) or within the slice (reference): their order tells. */
function sliceLayout(weights: ReadonlyMap<string, Tensor>): Map<string, number> {
  const present = new Map<number, Set<number>>();
  for (const key of weights.keys()) {
    const match = /^net\.slice(\d+)\.(\d+)\./.exec(key);
    if (!match) continue;
    const slice = Number(match[1]);
    present.set(slice, (present.get(slice) ?? new Set()).add(Number(match[2])));
  }
  const counts = [...present].sort(([a], [b]) => a - b).map(([, positions]) => positions.size);
  const layout = Object.values(trunks).find(({ slices }) => `${slices.map((s) => s.length)}` === `${counts}`)?.slices;
  const positions = new Map<string, number>();
  for (const [slice, found] of present) {
    const inOrder = [...found].sort((a, b) => a - b);
    for (const [i, position] of inOrder.entries()) {
      positions.set(`${slice}.${position}`, layout?.[slice - 1]?.[i] ?? position);
    }
  }
  return positions;
}
