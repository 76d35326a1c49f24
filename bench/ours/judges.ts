// The networks that judge pictures as `rae eval` runs them: Inception's features at their fixed batch, LPIPS picture by picture.
// Beside bench/peers/judges.py, which makes the file of weights that both sides read.
import { loadExtractor } from '../../src/evaluation/load-extractor.ts';
import { pairFigures } from '../../src/evaluation/pair-figures.ts';
import { keep, manualSeed, rand, tidy } from '../../src/tensor/index.ts';
import { configuration, serve } from './serve.ts';

const c = configuration<{ weights: string; pictures: number; size: number }>();
manualSeed(0);
const [images, others] = [drawBytes(), drawBytes()]; // [pictures, 3, size, size]

await serve({ inception: inception(), lpips: lpips() });

function drawBytes() {
  return tidy(() => keep(rand([c.pictures, 3, c.size, c.size]).mul(256).to('u8')));
}

/** Mean of the features of all pictures. */
function inception(): () => number {
  let extractor: ReturnType<typeof loadExtractor> | undefined;
  return () => {
    extractor ??= loadExtractor(c.weights);
    const { batch, pooled } = extractor;
    let sum = 0;
    for (let start = 0; start < c.pictures; start += batch) {
      sum += tidy(() =>
        extractor!
          .extract(images.narrow(0, start, batch), [pooled])
          .get(pooled)!
          .mean()
          .item(),
      );
    }
    return sum / (c.pictures / batch);
  };
}

/** Mean distance of all pairs. */
function lpips(): () => number {
  let figures: ReturnType<typeof pairFigures> | undefined;
  const bytes = (x: typeof images) => tidy(() => x.permute([0, 2, 3, 1]).contiguous().toBytes());
  const [a, b] = [bytes(images), bytes(others)];
  return () => {
    figures ??= pairFigures(['lpips'], { lpips: c.weights });
    const distances = figures.compute(a, b, [c.pictures, c.size, c.size]).lpips!;
    return distances.reduce((sum, distance) => sum + distance, 0) / c.pictures;
  };
}
