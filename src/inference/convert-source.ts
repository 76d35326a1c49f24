// What `rae convert` is given: a whole model (a run, a folder, a configuration, an AutoencoderRAE), or one file of tensors; which
// parts it has, and their tensors under the reference's names.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import {
  DIFFUSERS_EPS,
  DIFFUSERS_WEIGHTS,
  type EncoderTensors,
  encoderToHuggingFace,
  familyOf,
  newestCheckpoint,
  resolveWeights,
  stripWrappers,
  withEncoderTensors,
} from '../weights/index.ts';
import { hasConfig, type ModelParts, modelParts } from './model-folder.ts';
import { withDecoder, withStatistics } from './parts-tensors.ts';
import { chooseNetwork, withTensors, withWeights } from './tensors.ts';

export const PARTS = ['decoder', 'dit', 'rae', 'stats'] as const;
export type Part = (typeof PARTS)[number];

export interface ConvertSource {
  /** The model or file, as it was named or, in a folder of the reference's checkpoints, found. */
  path: string;
  /** Of a whole model. */
  parts: ModelParts | undefined;
  has: readonly Part[];
  raw: boolean;
}

/** Looks at what `given` names. ConfigError when there is nothing to convert, or not the weights asked for. */
export function openSource(given: string, { raw = false, ema = false } = {}): ConvertSource {
  if (given !== 'embedded' && !existsSync(resolveWeights(given, 'rae convert')))
    throw new ConfigError(expected('rae convert', 'an existing model or file', given));
  if (isModel(given)) return wholeModel(given, raw);
  const path = fileIn(resolveWeights(given, 'rae convert'));
  return withTensors(path, (tensors) => {
    checkChoice(path, tensors, { raw, ema });
    const has = partsOf(stripWrappers(chooseNetwork(tensors, raw)).keys());
    return { path, parts: undefined, has, raw };
  });
}

/** A folder, a configuration, or diffusers' weights, which their config.json completes; another file stands for itself. */
function isModel(given: string): boolean {
  if (!hasConfig(given)) return false;
  const isFile = given !== 'embedded' && statSync(resolveWeights(given, 'rae convert')).isFile();
  return !isFile || /\.ya?ml$/i.test(given) || basename(given).startsWith(DIFFUSERS_WEIGHTS);
}

function wholeModel(path: string, raw: boolean): ConvertSource {
  const parts = modelParts(path, { raw, flag: 'rae convert' });
  const { decoder, dit, stats } = parts;
  const has = PARTS.filter((part) => ({ decoder, dit, stats, rae: decoder })[part] !== undefined);
  if (has.length === 0) {
    const next = 'An encoder is used as it is: --encoder. Nothing was converted.';
    throw new ConfigError(
      expected('rae convert', 'a model with a decoder or a generator', `'${path}' with neither`, next),
    );
  }
  return { path, parts, has, raw };
}

/** A file as it is; of a folder of the reference's training checkpoints the one that it would resume from. */
function fileIn(path: string): string {
  if (!statSync(path).isDirectory()) return path;
  const found = [path, join(path, 'checkpoints')].flatMap((folder) => {
    const newest = existsSync(folder) ? newestCheckpoint(readdirSync(folder)) : undefined;
    return newest === undefined ? [] : [join(folder, newest)];
  });
  if (found[0] !== undefined) return found[0];
  const what = 'a run, an AutoencoderRAE, or a folder of training checkpoints (ep-0000010.pt)';
  const next = 'Name a file of weights.';
  throw new ConfigError(expected('rae convert', what, `the folder '${path}' that is none`, next));
}

/** --raw and --ema choose inside a training checkpoint alone. */
function checkChoice(path: string, tensors: ReadonlyMap<string, Tensor>, { raw, ema }: { raw: boolean; ema: boolean }) {
  const [wanted, other] = raw ? ['model', '--ema'] : ['ema', '--raw'];
  if ((!raw && !ema) || [...tensors.keys()].some((key) => key.startsWith(`${wanted}/`))) return;
  const nested = [...tensors.keys()].some((key) => /^(ema|model)\//.test(key));
  const next = nested ? `Take ${other}.` : 'Leave --raw and --ema out: it holds one set of weights.';
  throw new ConfigError(expected(raw ? '--raw' : '--ema', `a checkpoint with '${wanted}'`, path, next));
}

/** What a state dict is, by its names without wrappers. */
function partsOf(keys: Iterable<string>): Part[] {
  const names = [...keys];
  const some = (pattern: RegExp) => names.some((name) => pattern.test(name));
  const decoder = some(/^(decoder\.)?decoder_embed\.weight$/);
  const found: Record<Part, boolean> = {
    decoder,
    rae: decoder && some(/^encoder\./) && some(/^decoder\./),
    dit: some(/^x_embedder\.proj\.weight$/),
    stats: names.length <= 2 ? names.includes('var') : names.includes('_latents_std'),
  };
  return PARTS.filter((part) => found[part]);
}

export type Tensors = ReadonlyMap<string, Tensor>;

/** Runs `use` with the tensors of one part under the reference's names, as its own file would have them. Borrowed. */
export function withPart<T>(source: ConvertSource, part: Part, use: (tensors: Tensors) => T): T {
  const { path, parts, raw, has } = source;
  if (!has.includes(part)) {
    const there =
      has.length > 0 ? `one of ${has.join(', ')}` : 'none: the source holds no part that others have names for';
    throw new ConfigError(`--part: expected ${there}, received '${part}'. ${path} has no more.`);
  }
  if (part === 'stats') return withMoments(source, use);
  if (part === 'dit') return withWeights(parts?.dit ?? path, { raw }, (state) => use(stripWrappers(state)));
  if (part === 'decoder') {
    if (parts === undefined) return withDecoder(path, { raw }, use);
    return withDecoder(parts.decoder!, { raw, tokens: tokensOf(parts) }, use);
  }
  if (parts === undefined) {
    const inside = (state: Tensors) => [...stripWrappers(state)].filter(([key]) => /^(encoder|decoder)\./.test(key));
    return withWeights(path, { raw }, (state) => use(new Map(inside(state))));
  }
  return withEncoder(parts, (encoder) =>
    withPart(source, 'decoder', (decoder) => {
      const inner = [...decoder].map(([key, t]) => [`decoder.${key}`, t] as const);
      return use(new Map([...encoderToHuggingFace(encoder, familyOf(encoder.spec).reference), ...inner]));
    }),
  );
}

/** Runs `use` with the encoder of a whole model, as its configuration wants it. */
export function withEncoder<T>(parts: ModelParts, use: (encoder: EncoderTensors) => T): T {
  const { image_mean: mean, image_std: std } = parts.raeConfig.stage_1.params.encoder_params;
  return withEncoderTensors(parts.encoder, { mean, std }, use);
}

/** Tokens of the decoder's grid. */
function tokensOf(parts: ModelParts): number {
  return withEncoder(parts, ({ spec }) => (parts.raeConfig.stage_1.params.encoder_input_size / spec.vit.patch) ** 2);
}

/** Mean (where there is one) and variance, [C, h, w] where the model says how large; diffusers' deviation is turned into a variance. */
function withMoments<T>({ path, parts }: ConvertSource, use: (tensors: Tensors) => T): T {
  return withStatistics(parts?.stats ?? path, (moments) => {
    const deviation = moments.get('_latents_std');
    if (deviation === undefined) return use(moments);
    return tidy(() => {
      const eps = parts?.raeConfig.stage_1.params.eps ?? 1e-5;
      const side = parts === undefined ? undefined : Math.sqrt(tokensOf(parts));
      const whole = (t: Tensor) => (side === undefined ? t : t.expand([t.size(0), side, side])).to('f32').contiguous();
      const variance = deviation.to('f64').add(DIFFUSERS_EPS).square().sub(eps);
      return use(
        new Map([
          ['mean', whole(moments.get('_latents_mean')!)],
          ['var', whole(variance)],
        ]),
      );
    });
  });
}
