// The specification that our encoder files carry in their metadata (`rae.encoder`), read as what it is: text from anywhere. Every field is
// checked, and its sizes against the tensors beside it, before a network is built from it.

import type { EncoderSpec } from '../models/encoders/index.ts';
import type { ViTOptions } from '../models/vit.ts';
import type { Shaped } from '../nn/index.ts';
import { show } from '../util/check.ts';
import { WeightsError } from '../util/errors.ts';
import { asObject, parseJson } from '../util/json.ts';

type Test = (value: unknown) => boolean;

const isCount: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const isNatural: Test = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isNumber: Test = (value) => typeof value === 'number' && Number.isFinite(value);
const isPositive: Test = (value) => isNumber(value) && (value as number) > 0;
const isBoolean: Test = (value) => typeof value === 'boolean';
const oneOf =
  (...known: readonly string[]): Test =>
  (value) =>
    known.some((name) => name === value);
const listOf =
  (test: Test, length: number): Test =>
  (value) =>
    Array.isArray(value) && value.length === length && value.every(test);

const required = {
  width: isCount,
  depth: isNatural,
  heads: isCount,
  hidden: isCount,
  patch: isCount,
  grid: listOf(isCount, 2),
};
const optional: Record<Exclude<keyof ViTOptions, keyof typeof required>, Test> = {
  channels: isCount,
  classToken: isBoolean,
  positions: oneOf('table', 'rotary'),
  ropeBase: isPositive,
  registers: isNatural,
  layerScale: isBoolean,
  feedForward: oneOf('gelu', 'gelu_pytorch_tanh', 'swiglu'),
  eps: isPositive,
  tableResize: oneOf('bicubic', 'bicubic-antialias', 'bicubic-offset'),
  finalNorm: oneOf('affine', 'plain', 'none'),
};

/** The specification in `json`; `where` names the file. WeightsError or DataError for anything else. */
export function parseEncoderSpec(json: string, where: string): EncoderSpec {
  const spec = asObject(parseJson(json, `${where}: the encoder's specification`), where);
  const vit = asObject(spec.vit, `${where}: vit`);
  const check = (key: string, value: unknown, test: Test | undefined) => {
    if (test?.(value)) return;
    const what = test ? 'a sensible value' : 'no such key';
    throw new WeightsError(
      `${where}: the encoder's specification: expected ${what} for '${key}', received ${show(value)}. The file is damaged, or of a newer rae.`,
    );
  };
  check('family', spec.family, (value) => typeof value === 'string');
  check('mean', spec.mean, listOf(isNumber, 3));
  check('std', spec.std, listOf(isPositive, 3));
  check('layers', spec.layers, (value) => value === undefined || (Array.isArray(value) && value.every(isNatural)));
  check('addMean', spec.addMean, (value) => value === undefined || isBoolean(value));
  for (const [key, test] of Object.entries(required)) check(key, vit[key], test);
  for (const [key, value] of Object.entries(vit)) {
    if (!Object.hasOwn(required, key))
      check(key, value, Object.hasOwn(optional, key) ? optional[key as 'eps'] : undefined);
  }
  return spec as unknown as EncoderSpec;
}

/** WeightsError where the specification names other sizes than the tensors have: nothing is built that the file does not hold. */
export function checkSizes({ vit }: EncoderSpec, state: ReadonlyMap<string, Shaped>, where: string): void {
  const { width, patch, grid, classToken = true, registers = 0, depth, feedForward, hidden, channels = 3 } = vit;
  const first = feedForward === 'swiglu' ? 'w12' : 'fc1';
  const shapes: [key: string, shape: readonly number[] | undefined][] = [
    ['patch_embed.proj.weight', [width, channels, patch, patch]],
    ['pos_embed', vit.positions === 'rotary' ? undefined : [1, Number(classToken) + grid[0] * grid[1], width]],
    ['reg_token', registers > 0 ? [1, registers, width] : undefined],
    [`blocks.${depth - 1}.mlp.${first}.weight`, depth > 0 ? [first === 'w12' ? 2 * hidden : hidden, width] : undefined],
  ];
  for (const [key, wanted] of shapes) {
    const found = state.get(key)?.shape;
    if (wanted?.join() === found?.join()) continue;
    throw new WeightsError(
      `${where}: expected '${key}' ${wanted ? `of shape ${show(wanted)}` : 'to be absent'} by the encoder's specification, received ${found ? show(found) : 'none'}.`,
    );
  }
}
