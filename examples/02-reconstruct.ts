// Pictures through the autoencoder and back: inputs above reconstructions in one PNG, and how close they are.
//   npx tsx examples/02-reconstruct.ts [MODEL] [PICTURES] [OUT.png]
// MODEL is a run of `rae train rae` or `rae train dit`, PICTURES a file or a folder; without them the shipped model and drawn pictures.
import { writeFileSync } from 'node:fs';
import { decodeLatents, encodePictures, loadModel, openInput, toPixels } from 'rae-ts';
import { inOrder } from 'rae-ts/data';
import { encodeGrid } from 'rae-ts/io';
import { psnr } from 'rae-ts/metrics';
import { cat, dispose, noGrad, tidy } from 'rae-ts/tensor';

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
  writeFileSync(out, await encodeGrid(result.grid, { nrow: labels.length }));
  dispose(result);
}
console.log(out);
