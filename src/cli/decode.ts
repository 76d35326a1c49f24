// rae decode: latents to pictures, one PNG each or one grid of all. Latents of `rae encode`, or of any program that writes [N, C, h, w].

import { join } from 'node:path';
import type { Command } from 'commander';
import { decodeLatents, portionOf } from '../inference/batches.ts';
import { readLatentInfo } from '../inference/latent-file.ts';
import { type LoadedModel, loadModel } from '../inference/load-model.ts';
import { byteGrid, splitBytes, toBytes } from '../inference/pixels.ts';
import { pickTensor, readTensors } from '../inference/tensors.ts';
import { savePng } from '../io/image.ts';
import { dispose, type Tensor, tidy } from '../tensor/index.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import { count, counted, duration } from '../util/format.ts';
import { log } from '../util/log.ts';
import { beginVerb, type ModelOptions, modelVerb, stopIfInterrupted } from './model-options.ts';
import { printResult } from './shared.ts';

interface DecodeOptions extends ModelOptions {
  input: string;
  out: string;
  rawLatents?: boolean;
}

export function command(): Command {
  const example = 'rae decode --model runs/rae --input latents.safetensors --out pictures';
  return modelVerb('decode', 'latents to pictures', example, 'weights of the decoder')
    .requiredOption('--input <file>', 'latents [N, C, h, w]: .safetensors, .npz, .npy or a PyTorch file')
    .requiredOption('--out <path>', 'a folder for one PNG each, or FILE.png for a grid')
    .option('--raw-latents', 'they were written without statistics (files of rae encode say so themselves)')
    .action(run);
}

async function run(options: DecodeOptions): Promise<void> {
  beginVerb(options);
  const model = loadModel(options.model, { ...options, need: 'rae' });
  const normalized = areNormalized(model, options);
  if (!normalized) model.rae.setStatistics();
  const tensors = readTensors(options.input);
  const started = performance.now();
  try {
    const latents = pickTensor(options.input, tensors, {
      names: ['latents', 'latent'],
      rank: model.rae.latentShape.length + 1,
    });
    checkLatents(options.input, latents, model);
    await decodeAll(model, latents, options);
    const seconds = (performance.now() - started) / 1000;
    log.done();
    const pictures = latents.size(0);
    const result = { out: options.out, pictures, side: model.side, normalized, seconds };
    printResult(options, result, `${options.out}: ${counted(pictures, 'picture')} in ${duration(seconds)}`);
  } finally {
    dispose(tensors);
  }
}

/** What the file says; without a word of it, whether the model has statistics (the reference's convention). */
function areNormalized({ normalized, name }: LoadedModel, { input, rawLatents }: DecodeOptions): boolean {
  const said = readLatentInfo(input)?.normalized;
  const taken = rawLatents ? false : (said ?? normalized);
  if (rawLatents && said)
    throw new ConfigError(`--raw-latents: expected raw latents, received normalised ones: '${input}'.`);
  if (taken && !normalized) {
    throw new ConfigError(
      `--model: expected a model with statistics, for '${input}' is normalised, received '${name}' without. Name the stage-2 run.`,
    );
  }
  return taken;
}

function checkLatents(input: string, latents: Tensor, { rae }: LoadedModel): void {
  const wanted = rae.latentShape.join(', ');
  if (latents.shape.slice(1).join(', ') === wanted && latents.size(0) > 0) return;
  throw new DataError(
    `${input}: expected latents [N, ${wanted}], received [${latents.shape.join(', ')}]. They belong to another encoder or picture size.`,
  );
}

async function decodeAll(
  { rae, side }: LoadedModel,
  latents: Tensor,
  { out, precision }: DecodeOptions,
): Promise<void> {
  const total = latents.size(0);
  const isGrid = out.endsWith('.png');
  const kept: Uint8Array[] = [];
  const step = portionOf(rae);
  for (let at = 0; at < total; at += step) {
    const n = Math.min(step, total - at);
    const pixels = tidy(() => decodeLatents(rae, latents.narrow(0, at, n).to('f32'), { precision }));
    const pictures = splitBytes(toBytes(pixels), side);
    pixels.dispose();
    if (isGrid) kept.push(...pictures);
    else {
      const save = (data: Uint8Array, i: number) =>
        savePng(join(out, `${String(at + i).padStart(6, '0')}.png`), { width: side, height: side, data });
      await Promise.all(pictures.map(save));
    }
    log.live(`${count(at + n)}/${count(total)} pictures`);
    const left = isGrid ? 'nothing was written' : `those in ${out} stay`;
    stopIfInterrupted(() => `after ${at + n} of ${total} pictures; ${left}.`);
  }
  if (isGrid) await savePng(out, byteGrid(kept, { side, columns: Math.ceil(Math.sqrt(total)) }));
}
