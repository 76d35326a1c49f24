// Pictures from noise: two of every class, with the sampler and the guidance that the model's configuration names.
//   npx tsx examples/03-sample.ts [MODEL] [OUT.png]
// MODEL is a run of `rae train dit`; without it the shipped model.
import { writeFileSync } from 'node:fs';
import { chooseLabels, decodeLatents, generateLatents, guidanceOf, loadModel, samplerOf } from 'rae-ts';
import { encodeGrid } from 'rae-ts/io';

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

writeFileSync(out, await encodeGrid(pixels, { nrow: classes }));
console.log(`${labels.length} pictures, ${evaluations} evaluations of the network each: ${out}`);
