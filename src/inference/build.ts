// Models from a configuration: the RAE of stage 1 and the network of stage 2, with random weights or with those of files.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkEncoder, type DecoderConfig, type RunConfig } from '../config/index.ts';
import { Decoder, type DecoderOptions } from '../models/decoder.ts';
import type { Encoder } from '../models/encoders/index.ts';
import { Rae } from '../models/rae.ts';
import { createStage2, type Stage2Model } from '../models/stage2.ts';
import { skipInit } from '../nn/index.ts';
import { dispose, type Generator, type Tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { readJsonObject } from '../util/json.ts';
import { DIFFUSERS_EPS, decoderOptions, loadDecoderState, stripWrappers } from '../weights/index.ts';
import { withStatistics } from './parts-tensors.ts';
import { withWeights } from './tensors.ts';

export interface WeightsChoice {
  /** Of a training checkpoint with both: the trained weights instead of their average. */
  raw?: boolean | undefined;
  /** The average at this rate, of a run that keeps several; true for its first, which is the default. */
  ema?: number | true | undefined;
}

/** The decoder sizes of the paper by the names of the reference's configuration folders (spec 4). */
const DECODER_SIZES: Readonly<Record<string, DecoderConfig>> = {
  ViTB: sizes(768, 12, 12, 3072),
  ViTL: sizes(1024, 24, 16, 4096),
  ViTXL: sizes(1152, 28, 16, 4096),
};

/** The RAE of a configuration around its encoder, with a decoder drawn from `generator`. ConfigError when sizes do not fit. */
export function buildRae(
  config: RunConfig,
  { encoder, generator }: { encoder: Encoder; generator?: Generator | undefined },
): Rae {
  const { encoder_input_size, noise_tau, noise_kind, reshape_to_2d, eps } = config.stage_1.params;
  const problems = checkEncoder(config, { hiddenSize: encoder.width, patchSize: encoder.patch });
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  const decoder = new Decoder({ ...decoderSizes(config, encoder), generator });
  return new Rae({
    encoder,
    decoder,
    encoderInputSize: encoder_input_size,
    noiseTau: noise_tau,
    noise: noise_kind,
    reshapeTo2d: reshape_to_2d,
    eps,
  });
}

/** The same with weights from a file (a decoder's state dict, or a whole RAE's), in evaluation mode; statistics are optional. */
export function loadRae(
  config: RunConfig,
  { encoder, decoder, stats, raw }: { encoder: Encoder; decoder: string; stats?: string | undefined } & WeightsChoice,
): Rae {
  const rae = skipInit(() => buildRae(config, { encoder }));
  withWeights(decoder, { raw }, (state) => loadDecoderState(rae.decoder, state));
  if (stats !== undefined) loadStatistics(rae, stats);
  rae.requiresGrad_(false);
  return rae.eval();
}

/**
 * Gives an RAE the latent statistics of a file with `mean` (may be missing) and `var`, or of one from diffusers, whose deviation is
 * used with 1e-5 added, as diffusers does.
 */
export function loadStatistics(rae: Rae, path: string): void {
  withStatistics(path, (moments) =>
    tidy(() => {
      const [center, deviation] = [moments.get('_latents_mean'), moments.get('_latents_std')];
      const whole = (t: Tensor) => t.to('f32').expand(rae.latentShape); // theirs may be one for each channel
      if (deviation === undefined) rae.setStatistics({ mean: moments.get('mean'), variance: moments.get('var') });
      else rae.setStatistics({ mean: center && whole(center), std: whole(deviation).add(DIFFUSERS_EPS) });
    }),
  );
}

/**
 * The network of stage 2 with the weights of a file, in evaluation mode. Weights in float32 stay in the file's pages: no second copy of
 * some gigabytes is made, and a network is ready at once (see mapFile() for files that change meanwhile).
 */
export function loadGenerator(config: RunConfig, path: string, choice: WeightsChoice = {}): Stage2Model {
  const model = tidy(() => skipInit(() => createStage2(stage2Of(config))));
  try {
    withWeights(path, choice, (weights) => adopt(model, stripWrappers(weights)));
  } catch (error) {
    model.dispose();
    throw error;
  }
  model.requiresGrad_(false);
  return model.eval();
}

/** Views of float32 weights become the model's own, copies where they don't lie row-major; others are widened. The state stays the caller's. */
function adopt(model: Stage2Model, state: ReadonlyMap<string, Tensor>): void {
  if ([...state.values()].some(({ dtype }) => dtype !== 'f32')) {
    model.loadStateDict(state);
    return;
  }
  const views = tidy(() => new Map(Array.from(state, ([key, t]) => [key, t.detach().contiguous()])));
  try {
    model.loadStateDict(views, { assign: true });
  } catch (error) {
    dispose(views);
    throw error;
  }
}

/** The stage_2 section. ConfigError when the configuration has none. */
export function stage2Of(config: RunConfig): NonNullable<RunConfig['stage_2']> {
  if (config.stage_2 === undefined) {
    throw new ConfigError(
      'configuration: expected a section stage_2 (a generator), received none. Give the run of `rae train dit`.',
    );
  }
  return config.stage_2;
}

/** The decoder's options that a configuration gives for an encoder of these sizes. */
export function decoderSizes(config: RunConfig, encoder: Pick<Encoder, 'width' | 'patch'>): DecoderOptions {
  const { decoder_config, decoder_config_path, decoder_patch_size, encoder_input_size } = config.stage_1.params;
  const set = {
    channels: encoder.width,
    patch: decoder_patch_size,
    tokens: (encoder_input_size / encoder.patch) ** 2,
  };
  if (decoder_config) return decoderOptions({ ...decoder_config }, set);
  const file = join(decoder_config_path, 'config.json');
  if (existsSync(file)) return decoderOptions(readJsonObject(file), set);
  const name = Object.keys(DECODER_SIZES).find((known) =>
    new RegExp(`(^|[/_-])${known}$`, 'i').test(decoder_config_path),
  );
  if (name !== undefined) return decoderOptions({ ...DECODER_SIZES[name] }, set);
  throw new ConfigError(
    expected(
      'stage_1.params.decoder_config_path',
      `a folder with config.json, or one of ${Object.keys(DECODER_SIZES).join(', ')}`,
      decoder_config_path,
      'Or give the sizes in stage_1.params.decoder_config.',
    ),
  );
}

function sizes(width: number, depth: number, heads: number, hidden: number): DecoderConfig {
  return {
    decoder_hidden_size: width,
    decoder_num_hidden_layers: depth,
    decoder_num_attention_heads: heads,
    decoder_intermediate_size: hidden,
    layer_norm_eps: 1e-12,
  };
}
