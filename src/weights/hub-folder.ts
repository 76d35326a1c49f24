// What the JSON files of a Hugging Face folder say of an encoder that its tensors do not: heads, epsilon, pixel mean and deviation.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { asObject, readJsonObject } from '../util/json.ts';
import type { EncoderHints } from './encoder-state.ts';

/** From config.json and preprocessor_config.json, as far as they are there. Of the processor nothing else is used (spec 2). */
export function hintsOfFolder(folder: string): EncoderHints {
  const [configFile, pixelFile] = [join(folder, 'config.json'), join(folder, 'preprocessor_config.json')];
  const [config, pixels] = [configFile, pixelFile].map((path) => (existsSync(path) ? readJsonObject(path) : {})) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const vision = config.vision_config ? asObject(config.vision_config, `${configFile}: vision_config`) : config; // SigLIP nests it
  return {
    heads: field(vision, 'num_attention_heads', { where: configFile, is: isCount }),
    ropeBase: field(vision, 'rope_theta', { where: configFile, is: isPositive }),
    eps: field(vision, 'layer_norm_eps', { where: configFile, is: isPositive }),
    mean: field(pixels, 'image_mean', { where: pixelFile, is: isRgb }),
    std: field(pixels, 'image_std', { where: pixelFile, is: isDeviation }),
  };
}

/** A field of a JSON file, when it is there and not null. */
function field<T>(
  from: Record<string, unknown>,
  key: string,
  { where, is }: { where: string; is: (v: unknown) => v is T },
): T | undefined {
  const value = from[key] ?? undefined;
  if (value === undefined || is(value)) return value;
  throw new WeightsError(expected(where, `a sensible '${key}'`, value, 'Fetch the folder again.'));
}

const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0 && value < Infinity;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && isPositive(value);
const isRgb = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length === 3 && value.every((v) => typeof v === 'number' && Number.isFinite(v));
const isDeviation = (value: unknown): value is number[] => isRgb(value) && value.every(isPositive);
