// Stage-2 models by the names of the reference's configurations: `target` and snake_case `params` in, a model out (spec, appendix B).

import type { Module } from '../nn/index.ts';
import type { Generator, Tensor } from '../tensor/index.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { LightningDiT, type LightningDiTOptions } from './dit.ts';
import { DiTwDDTHead, type DiTwDDTHeadOptions } from './dit-dh.ts';
import type { LabelDropout } from './layers/label-embedder.ts';

/** What training and sampling need of a stage-2 model. */
export interface Stage2Model extends Module {
  readonly inChannels: number;
  readonly inputSize: readonly [height: number, width: number];
  /** The label that means "no class", for classifier-free guidance; undefined where the model has none. */
  readonly nullLabel: number | undefined;
  /** Velocity [B, C, h, w] at latents x [B, C, h, w], times t [B] in [0, 1], labels y [B] int64 (undefined if unconditional). */
  forward(x: Tensor, t: Tensor, y: Tensor | undefined, options?: LabelDropout): Tensor;
}

/** The classes by name. The configuration's parameters are the constructors' options in snake_case. */
export const stage2Models: Readonly<Record<string, (options: unknown) => Stage2Model>> = {
  DiTwDDTHead: (options) => new DiTwDDTHead(options as DiTwDDTHeadOptions),
  LightningDiT: (options) => new LightningDiT(options as LightningDiTOptions),
};

/**
 * The model of a configuration that has passed its schema: the last part of `target` (`stage2.models.DDT.DiTwDDTHead`) names the class.
 * Unset or null parameters take the class's defaults; `use_gembed` has no meaning in the reference either.
 */
export function createStage2(
  { target, params }: { target: string; params: Readonly<Record<string, unknown>> },
  { generator }: { generator?: Generator | undefined } = {},
): Stage2Model {
  const name = target.slice(target.lastIndexOf('.') + 1);
  const create = Object.hasOwn(stage2Models, name) ? stage2Models[name] : undefined;
  if (!create) {
    const known = Object.keys(stage2Models);
    const near = nearest(name, known);
    throw new ConfigError(
      expected('stage_2.target', `one of ${known.join(', ')}`, target, near && `Did you mean '${near}'?`),
    );
  }
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== null);
  return create({ ...Object.fromEntries(given.map(([key, value]) => [camelCase(key), value])), generator });
}

function camelCase(key: string): string {
  return key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
