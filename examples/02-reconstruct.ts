// Pictures through the autoencoder and back: inputs above reconstructions in one PNG, and how close they are.
//   npx tsx examples/02-reconstruct.ts [MODEL] [PICTURES] [OUT.png]
// MODEL is a run of `rae train rae` or `rae train dit`, PICTURES a file or a folder; without them the shipped model and drawn pictures.
import { inOrder } from '../src/data/index.ts';
import { decodeLatents, encodePictures } from '../src/inference/batches.ts';
import { loadModel } from '../src/inference/load-model.ts';
import { openInput } from '../src/inference/pictures.ts';
import { toPixels } from '../src/inference/pixels.ts';
import { encodeGrid } from '../src/io/index.ts';
import { psnr } from '../src/metrics/psnr.ts';
import { cat, dispose, noGrad, tidy } from '../src/tensor/index.ts';
import { writeFileAtomic } from '../src/util/atomic-write.ts';

const [model = 'embedded', pictures = 'embedded', out = 'runs/02-reconstruct.png'] = process.argv.slice(2);
const { rae, side } = loadModel(model, { need: 'rae' });
const { source } = await openInput(pictures, { side, num: 8 });

for await (const { images, labels } of inOrder(source, { batch: 8 })) {
  const result = noGrad(() =>
    tidy(() => {
      const pixels = toPixels(images, [labels.length, side, side]); // [B, 3, side, side] in [0, 1]
      const latents = encodePictures(rae, pixels); // [B, C, h, w]
      const again = decodeLatents(rae, latents); // [B, 3, side, side]
      return { shape: latents.shape, decibels: psnr(again, pixels), grid: cat([pixels, again], 0) };
    }),
  );
  console.log(`latents [${result.shape.join(', ')}], PSNR ${result.decibels.map((dB) => dB.toFixed(1)).join(' ')} dB`);
  writeFileAtomic(out, await encodeGrid(result.grid, { nrow: labels.length }));
  dispose(result);
}
console.log(out);
