// The sizes of an encoder without its weights: from the shapes in a file (nothing is read but its table), or from a published name.

import { existsSync } from 'node:fs';
import { loadTensorFile } from '../io/tensor-file.ts';
import * as known from '../models/encoders/index.ts';
import { dispose } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { specFromState } from './encoder-state.ts';
import { locateEncoder } from './load-encoder.ts';

/** Published encoders by what their names contain. */
const PUBLISHED: readonly (readonly [RegExp, () => known.EncoderSpec])[] = [
  [/dinov2.*registers.*small/, () => known.dinov2S()],
  [/dinov2.*registers.*base/, () => known.dinov2B()],
  [/dinov2.*registers.*large/, () => known.dinov2L()],
  [/dinov2.*registers.*giant/, () => known.dinov2G()],
  [/dinov2.*small/, () => known.dinov2S({ registers: 0 })],
  [/dinov2.*base/, () => known.dinov2B({ registers: 0 })],
  [/dinov2.*large/, () => known.dinov2L({ registers: 0 })],
  [/dinov2.*giant/, () => known.dinov2G({ registers: 0 })],
  [/siglip2?-base/, () => known.siglip2B()],
  [/mae-base/, () => known.maeB()],
  [/deit_tiny/, () => known.deitTiny()],
];

/** The specification of an encoder: a file, a folder, or the name of a published one, which need not be at hand. */
export function readEncoderSpec(path: string): known.EncoderSpec {
  if (!existsSync(path)) {
    const spec = PUBLISHED.find(([name]) => name.test(path))?.[1]();
    if (spec) return spec;
    const next = 'Give a file of weights, or the name of a published DINOv2, SigLIP2-B, MAE-B or DeiT-Tiny.';
    throw new WeightsError(expected('--encoder', 'an encoder whose sizes can be told', path, next));
  }
  const { file, hints, saved } = locateEncoder(path);
  if (saved) return saved;
  const state = loadTensorFile(file, { mmap: true });
  try {
    return specFromState(state, hints);
  } finally {
    dispose(state);
  }
}
