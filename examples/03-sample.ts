// Pictures from noise: two of every class, with the sampler and the guidance that the model's configuration names.
//   npx tsx examples/03-sample.ts [MODEL] [OUT.png]
// MODEL is a run of `rae train dit`; without it the shipped model.
import { decodeLatents } from '../src/inference/batches.ts';
import { generateLatents, guidanceOf, samplerOf } from '../src/inference/generate.ts';
import { chooseLabels } from '../src/inference/labels.ts';
import { loadModel } from '../src/inference/load-model.ts';
import { encodeGrid } from '../src/io/index.ts';
import { writeFileAtomic } from '../src/util/atomic-write.ts';

const [name = 'embedded', out = 'runs/03-sample.png'] = process.argv.slice(2);
const { config, generator, rae } = loadModel(name, { need: 'generator' });
const classes = config.misc.num_classes;
const labels = chooseLabels(config, 'all', { num: 2 * classes, seed: 0 });

const { latents, evaluations } = generateLatents(config, generator, labels, {
  ...samplerOf(config), // such as 49 Euler steps
  guidance: guidanceOf(config, generator), // such as classifier-free guidance 2
  seed: 0, // picture i depends on the seed and i alone
}); // [2 * classes, C, h, w]
const pixels = decodeLatents(rae, latents); // [2 * classes, 3, side, side] in [0, 1]

writeFileAtomic(out, await encodeGrid(pixels, { nrow: classes }));
console.log(`${labels.length} pictures, ${evaluations} evaluations of the network each: ${out}`);
