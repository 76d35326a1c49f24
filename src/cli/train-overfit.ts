// rae train dit --overfit IMAGE: can a generator of this width learn even one picture? Trains three of them on its latent and prints a table:
// narrower than the tokens, as wide, wider (RAE paper, table 3).

import { join } from 'node:path';
import type { RunConfig } from '../config/index.ts';
import { Draws, stream } from '../data/index.ts';
import {
  dimensionShift,
  parseTimeDistribution,
  pathNamed,
  referenceGrid,
  samplingInterval,
  trainingInterval,
} from '../diffusion/index.ts';
import { decodeLatents, encodePictures } from '../inference/batches.ts';
import { loadModel } from '../inference/load-model.ts';
import { openInput } from '../inference/pictures.ts';
import { toPixels } from '../inference/pixels.ts';
import { encodeGrid } from '../io/grid.ts';
import { cat, dispose, stack, tidy } from '../tensor/index.ts';
import { type OverfitRow, overfit, overfitWidths } from '../train/overfit.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { count, figure } from '../util/format.ts';
import { log } from '../util/log.ts';
import { makeFolder } from '../util/storage.ts';
import { stopIfInterrupted } from './model-options.ts';
import { printResult } from './shared.ts';
import type { TrainOptions } from './train.ts';

const STEPS = 600;

/** Prints the table, and leaves it in `--out` as overfit.json, with overfit.png: the picture, its reconstruction, and a sample of each. */
export async function runOverfit(config: RunConfig, options: TrainOptions): Promise<void> {
  const { rae: name, overfit: image, out, steps = STEPS } = options;
  if (name === undefined) {
    throw new ConfigError(expected('--rae', "a trained RAE (a run of `rae train rae`, or 'embedded')", 'none'));
  }
  const { rae, side, normalized } = loadModel(name, { need: 'rae', flag: '--rae' });
  const { source } = await openInput(image!, { side, num: 1, exif: config.data.exif });
  const bytes = new Uint8Array(side * side * 3);
  await source.read(0, new Draws(stream.crop, 0), bytes);
  const pixels = toPixels(bytes, [1, side, side]);
  const latent = tidy(() => {
    const raw = encodePictures(rae, pixels).squeeze(0); // [C, h, w]
    return normalized ? raw : raw.sub(raw.mean()).div(raw.std()); // statistics of one picture: its own
  });
  const [C, h, w] = latent.dims(3);
  const { path_type, prediction, time_dist_type, train_eps, sample_eps } = config.transport.params;
  const path = pathNamed(path_type);
  const shift = dimensionShift(C * h * w, Math.min(C * h * w, config.misc.time_dist_shift_base));
  const times = {
    distribution: parseTimeDistribution(time_dist_type),
    interval: trainingInterval(path, prediction, train_eps),
    shift,
  };
  const grid = referenceGrid(50, { shift, interval: samplingInterval(path, prediction, sample_eps) });
  const rows = overfitWidths(C).map((width) =>
    overfit(width, {
      latent,
      steps,
      transport: { path, prediction },
      times,
      grid,
      seed: config.training.global_seed,
      onStep: (width, step, loss) => {
        log.live(`width ${width}: step ${step}/${steps}  loss ${figure(loss)}`);
        stopIfInterrupted(() => `at width ${width}, step ${step}; nothing was written.`);
      },
    }),
  );
  log.done();
  makeFolder(out);
  const table = rows.map(({ sample: _, ...row }) => row);
  writeFileAtomic(join(out, 'overfit.json'), `${JSON.stringify({ token: C, steps, rows: table }, null, 1)}\n`);
  if (normalized) {
    const shown = tidy(() => {
      const samples = stack([latent, ...rows.map(({ sample }) => sample)], 0);
      return cat([pixels, decodeLatents(rae, samples)], 0);
    });
    writeFileAtomic(join(out, 'overfit.png'), await encodeGrid(shown, { nrow: rows.length + 2 }));
    shown.dispose();
  }
  dispose([latent, pixels, ...rows.map(({ sample }) => sample)]);
  printResult(options, { out, token: C, steps, rows: table }, text(C, steps, rows));
}

function text(C: number, steps: number, rows: readonly OverfitRow[]): string {
  const lines = rows.map(({ width, parameters, bound, loss, error }) => [
    `${width} (${width < C ? 'below' : width === C ? 'at' : 'above'})`,
    count(parameters),
    figure(bound),
    figure(loss),
    figure(error),
  ]);
  const head = ['width', 'parameters', 'bound', 'loss', 'sample error'];
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]!.length)));
  const table = [head, ...lines].map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  return `one picture, tokens of ${C}, ${steps} steps\n${table.join('\n')}`;
}
