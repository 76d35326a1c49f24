// The data pipeline: JPEGs to batches of pixels [B, 3, H, W] in [0, 1] by ADM's crop, one pass over the folder a run. Nothing decoded is
// kept. Beside bench/peers/data.py, which has as many workers as the thread pool here has threads.
import { admCrop, inOrder, openSource } from '../../src/data/index.ts';
import { toPixels } from '../../src/inference/pixels.ts';
import { tidy } from '../../src/tensor/index.ts';
import { configuration, serve } from './serve.ts';

const { folder, side, batch, ahead } = configuration<{
  folder: string;
  side: number;
  batch: number;
  /** Batches in preparation. */
  ahead: number;
}>();
const source = await openSource(folder, { transform: admCrop(side), cacheBytes: 0 });

await serve({
  pass: async () => {
    let sum = 0;
    for await (const { images, labels } of inOrder(source, { batch, ahead }))
      sum += tidy(() => toPixels(images, [labels.length, side, side]).mean().item() * labels.length);
    return sum / source.size;
  },
});
