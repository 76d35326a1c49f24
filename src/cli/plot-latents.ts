// rae plot latents: what an encoder sees, as colours. The first three principal components of all tokens are red, green and blue; beneath
// each picture stand its tokens. (People know such sheets from DINO; there the background is often cut away first, here it stays.)

import type { Command } from 'commander';
import { type Batch, inOrder } from '../data/index.ts';
import { encodePictures, portionOf } from '../inference/batches.ts';
import { loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { toPixels } from '../inference/pixels.ts';
import { encodeGrid } from '../io/grid.ts';
import { principalComponents } from '../metrics/pca.ts';
import { cat, noGrad, type Tensor, tidy, upsampleNearest2d } from '../tensor/index.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { percent } from '../util/format.ts';
import { beginVerb, type ModelOptions, modelVerb } from './model-options.ts';
import { integerOption, printResult } from './shared.ts';

interface LatentsOptions extends ModelOptions {
  input: string;
  out: string;
  num: number;
}

/** Share of tokens whose colour may be cut off at either end. */
const OUTLIERS = 0.01;

export function latentsCommand(): Command {
  const example = 'rae plot latents --model runs/rae --input photos --num 12 --out latents.png';
  return modelVerb(
    'latents',
    'pictures above the principal components of their latents',
    example,
    'weights of the encoder',
  )
    .requiredOption('--input <path>', "a picture, a folder of them, an archive, or 'embedded'")
    .requiredOption('--out <file>', 'the sheet: .png')
    .addOption(integerOption('--num <n>', 'pictures, spread evenly over the input', { min: 1, max: 256, default: 8 }))
    .action(run);
}

async function run(options: LatentsOptions): Promise<void> {
  const { model: name, input, out, num, precision } = options;
  if (!/\.png$/i.test(out)) throw new ConfigError(expected('--out', 'a name ending in .png', out));
  beginVerb(options);
  const { rae, side, config } = loadModel(name, { ...options, need: 'encoder' });
  const { source } = await openInput(input, { side, num, exif: config?.data.exif });
  const batches: Batch[] = [];
  for await (const batch of inOrder(source, { batch: portionOf(rae) })) batches.push(batch);
  if (batches.length === 0) throw new DataError(`--input: none of the pictures of '${input}' can be read.`);

  const sheet = noGrad(() =>
    tidy(() => {
      const pixels = cat(
        batches.map(({ images, labels }) => toPixels(images, [labels.length, side, side])),
        0,
      );
      const latents = encodePictures(rae, pixels, { precision });
      const { colors, shares } = asColors(latents);
      const columns = Math.min(8, pixels.size(0));
      return { images: inRows(pixels, upsampleNearest2d(colors, [side, side]), columns), columns, shares };
    }),
  );
  const { columns, shares } = sheet;
  const rows = sheet.images.size(0) / columns;
  writeFileAtomic(out, await encodeGrid(sheet.images, { nrow: columns, padValue: 1 }));
  sheet.images.dispose();
  printResult(
    options,
    { out, shares },
    `${out}: ${rows} rows; red, green and blue hold ${shares.map(percent).join(', ')} of the variance`,
  );
}

/** Latents [N, C, h, w] -> colours [N, 3, h, w] in [0, 1]. */
function asColors(latents: Tensor): { colors: Tensor; shares: number[] } {
  const [N, C, h, w] = latents.dims(4);
  const { projected, shares } = principalComponents(latents.permute([0, 2, 3, 1]).reshape([N * h * w, C]), 3);
  const [sorted] = projected.sort(0);
  const cut = Math.floor(OUTLIERS * (N * h * w));
  const [low, high] = [sorted.select(0, cut), sorted.select(0, N * h * w - 1 - cut)];
  const scaled = projected.sub(low).div(high.sub(low).clamp(1e-12)).clamp(0, 1);
  return { colors: scaled.reshape([N, h, w, 3]).permute([0, 3, 1, 2]).to('f32').contiguous(), shares };
}

/** A row of pictures, a row of their colours, and so on; the last rows are filled with white. */
function inRows(pictures: Tensor, colors: Tensor, columns: number): Tensor {
  const rows: Tensor[] = [];
  for (let start = 0; start < pictures.size(0); start += columns) {
    const count = Math.min(columns, pictures.size(0) - start);
    for (const images of [pictures, colors]) {
      const row = images.narrow(0, start, count);
      rows.push(
        row,
        ...(count < columns
          ? [
              row
                .narrow(0, 0, 1)
                .mul(0)
                .add(1)
                .repeat([columns - count, 1, 1, 1]),
            ]
          : []),
      );
    }
  }
  return cat(rows, 0);
}
