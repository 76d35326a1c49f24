// The tensors of a model's parts under the reference's names, whichever file they lie in: a decoder alone, one inside a whole RAE or
// a training checkpoint, or diffusers' one file of everything.

import { copyFileSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { saveSafetensors } from '../io/safetensors.ts';
import { fileKind } from '../io/tensor-file.ts';
import { type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { DataError } from '../util/errors.ts';
import { decoderState, diffusersPositions, isDiffusersDecoder } from '../weights/index.ts';
import type { WeightsChoice } from './build.ts';
import type { ModelParts } from './model-folder.ts';
import { withTensors, withWeights } from './tensors.ts';

/** Runs `use` with the decoder's state dict: flat, complete, borrowed. */
export function withDecoder<T>(
  path: string,
  {
    tokens,
    raw,
  }: WeightsChoice & { /** Of the decoder's grid, where diffusers left its table out. */ tokens?: number },
  use: (state: ReadonlyMap<string, Tensor>) => T,
): T {
  return withWeights(path, { raw }, (tensors) =>
    tidy(() => {
      const state = decoderState(tensors);
      const width = state.get('decoder_embed.weight')?.size(0);
      if (width === undefined) throw new DataError(expected(path, "a decoder's tensors", [...tensors.keys()]));
      if (isDiffusersDecoder(tensors.keys()) && !state.has('decoder_pos_embed')) {
        if (tokens === undefined)
          throw new DataError(
            `${path}: expected config.json beside the weights of diffusers, whose decoder has no position table. Name their folder.`,
          );
        state.set('decoder_pos_embed', diffusersPositions(width, Math.sqrt(tokens)));
      }
      return use(state);
    }),
  );
}

/** The names under which files hold the moments of latents: ours and the reference's, diffusers'. */
const STATISTICS = ['mean', 'var', '_latents_mean', '_latents_std'];

/** Runs `use` with the moments of latents as the file has them: mean (may be missing) and var, or diffusers' two. Borrowed. */
export function withStatistics<T>(path: string, use: (moments: ReadonlyMap<string, Tensor>) => T): T {
  return withTensors(path, (tensors) => {
    const moments = new Map([...tensors].filter(([name]) => STATISTICS.includes(name)));
    if (!moments.has('var') && !moments.has('_latents_std')) {
      const what = "the tensors 'mean' and 'var'";
      throw new DataError(expected(`statistics '${path}'`, what, [...tensors.keys()], 'Make them with `rae stats`.'));
    }
    return use(moments);
  });
}

/** The number of tokens of an RAE's decoder. */
export function decoderTokens({ raeConfig }: ModelParts, encoderPatch: number): number {
  return (raeConfig.stage_1.params.encoder_input_size / encoderPatch) ** 2;
}

/** Keeps a part under another name: a file that holds nothing else is copied as it is, of others what belongs to the part is written. */
export function keepDecoder(from: string, to: string, options: { tokens: number }): void {
  withDecoder(from, options, (state) => keep(from, to, state));
}

/** The same for statistics. */
export function keepStatistics(from: string, to: string): void {
  withStatistics(from, (moments) => keep(from, to, moments));
}

function keep(from: string, to: string, tensors: ReadonlyMap<string, Tensor>): void {
  const whole = withTensors(
    from,
    (all) => all.size === tensors.size && [...tensors.keys()].every((key) => all.has(key)),
  );
  if (!whole || fileKind(from) !== 'safetensors') {
    saveSafetensors(to, tensors);
    return;
  }
  const temporary = join(dirname(to), `.${basename(to)}.${process.pid}.tmp`);
  copyFileSync(from, temporary);
  renameSync(temporary, to);
}
