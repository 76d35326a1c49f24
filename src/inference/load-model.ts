// A model ready for use, from what --model and --weights name: its RAE, and its generator where one is asked for.

import { existsSync } from 'node:fs';
import type { RunConfig } from '../config/index.ts';
import { Decoder } from '../models/decoder.ts';
import type { Encoder } from '../models/encoders/index.ts';
import { Rae } from '../models/rae.ts';
import type { Stage2Model } from '../models/stage2.ts';
import { castProducts, skipInit } from '../nn/index.ts';
import { ConfigError } from '../util/errors.ts';
import { type EncoderHints, loadEncoder, resolveWeights } from '../weights/index.ts';
import { hintFor } from '../weights/resolve.ts';
import type { Precision } from './batches.ts';
import { loadGenerator, loadRae, loadStatistics, stage2Of, type WeightsChoice } from './build.ts';
import { hasConfig, type ModelParts, modelParts } from './model-folder.ts';

export interface LoadModelOptions extends WeightsChoice {
  /** Weights in place of the model's own: the encoder's, the decoder's or the generator's, whichever `need` names last. */
  weights?: string | undefined;
  /** What must be there: an encoder; with it a decoder; with both a generator. Nothing else is loaded. */
  need: 'encoder' | 'rae' | 'generator';
  /** What named the model, for messages. */
  flag?: string;
  /** 'bf16': the networks are cast for it here, once, and work under autocast alone. */
  precision?: Precision | undefined;
}

export interface LoadedModel {
  /** Where the model came from, as it was named. */
  name: string;
  /** The run's configuration; undefined for an encoder on its own. */
  config: RunConfig | undefined;
  /** With a decoder that must not be used where only an encoder was asked for. */
  rae: Rae;
  /** Side in pixels of the pictures that the RAE takes and makes. */
  side: number;
  /** Whether latents are normalised by statistics. */
  normalized: boolean;
  /** The file of those statistics. */
  stats?: string | undefined;
  classes: string[] | undefined;
  step: number | undefined;
}

export interface LoadedGenerator extends LoadedModel {
  config: RunConfig;
  generator: Stage2Model;
}

/**
 * Loads a model for inference. ConfigError when a part is missing or the parts do not fit each other.
 * An encoder may come without a configuration: a Hugging Face folder, or a file in any layout that loadEncoder knows.
 */
export function loadModel(path: string, options: LoadModelOptions & { need: 'generator' }): LoadedGenerator;
export function loadModel(path: string, options: LoadModelOptions): LoadedModel;
export function loadModel(path: string, options: LoadModelOptions): LoadedModel | LoadedGenerator {
  const model = loadExact(path, options);
  return options.precision === 'bf16' ? castModel(model) : model;
}

function castModel<T extends LoadedModel | LoadedGenerator>(model: T): T {
  castProducts(model.rae);
  if ('generator' in model) castProducts(model.generator);
  return model;
}

function loadExact(path: string, options: LoadModelOptions): LoadedModel | LoadedGenerator {
  const { need, raw, ema, flag = '--model' } = options;
  const weights = options.weights && resolveWeights(options.weights, '--weights');
  if (need === 'encoder' && !hasConfig(path)) {
    const file = resolveWeights(path, flag);
    if (existsSync(file)) return { ...encoderAlone(loadEncoder(file)), name: path, config: undefined };
  }
  const parts = modelParts(path, { raw, ema, flag });
  const encoderFile = need === 'encoder' ? (weights ?? parts.encoder) : parts.encoder;
  const there = (file: string, part: string) => existing(file, { part, path, flag });
  const encoder = loadEncoder(there(encoderFile, 'encoder'), encoderHints(parts.raeConfig));
  if (need === 'encoder') return { ...forEncoding(parts, encoder), name: path, config: parts.config };

  const decoder = (need === 'rae' ? weights : undefined) ?? parts.decoder;
  if (decoder === undefined) throw missing(flag, 'decoder', path, 'rae train rae');
  there(decoder, 'decoder');
  if (parts.stats !== undefined) there(parts.stats, 'statistics');
  const rae = loadRae(parts.raeConfig, { encoder, decoder, stats: parts.stats, raw });
  const loaded: LoadedModel = {
    name: path,
    config: parts.config,
    rae,
    side: rae.latentSide * rae.decoder.options.patch,
    normalized: parts.stats !== undefined,
    stats: parts.stats,
    classes: parts.classes,
    step: parts.step,
  };
  if (need === 'rae') return loaded;

  const dit = weights ?? parts.dit;
  if (dit === undefined) throw missing(flag, 'generator', path, 'rae train dit');
  const generator = loadGenerator(parts.config, there(dit, 'generator'), { raw });
  checkFit(generator, rae);
  return { ...loaded, config: parts.config, generator };
}

/**
 * The guide of autoguidance for `model`: another run, one of its checkpoints, or a file of weights for the architecture that the
 * model's guidance_model section describes (else the model's own).
 */
export function loadGuide(path: string, model: LoadedGenerator): { config: RunConfig; generator: Stage2Model } {
  const { config } = model;
  const { guidance_model } = config.guidance;
  let guide: { config: RunConfig; generator: Stage2Model };
  if (hasConfig(path)) {
    const parts = modelParts(path, { flag: '--guide' });
    if (parts.dit === undefined) throw missing('--guide', 'generator', path, 'rae train dit');
    guide = { config: parts.config, generator: loadGenerator(parts.config, parts.dit) };
  } else {
    const own = { ...config, stage_2: guidance_model ?? stage2Of(config) } as RunConfig;
    guide = { config: own, generator: loadGenerator(own, resolveWeights(path, '--guide')) };
  }
  const [a, b] = [guide.generator, model.generator].map(shapeOf);
  if (a !== b) throw new ConfigError(`--guide: expected a model of latents [${b}], received one of [${a}].`);
  return guide;
}

function shapeOf(model: Stage2Model): string {
  return [model.inChannels, ...model.inputSize].join(', ');
}

/** What a configuration says of its encoder beside the file. */
export function encoderHints({ stage_1 }: RunConfig): EncoderHints {
  const { image_mean: mean, image_std: std, normalize, layers, add_mean: addMean } = stage_1.params.encoder_params;
  return { mean, std, normalize, layers, addMean };
}

function forEncoding(parts: ModelParts, encoder: Encoder): Omit<LoadedModel, 'name' | 'config'> {
  const { config, raeConfig, stats, classes, step } = parts;
  if (config.mae !== undefined) return { ...encoderAlone(encoder), classes, step };
  const { encoder_input_size, decoder_patch_size, reshape_to_2d, eps } = raeConfig.stage_1.params;
  const rae = withoutDecoder(encoder, { encoderInputSize: encoder_input_size, reshapeTo2d: reshape_to_2d, eps });
  if (stats !== undefined) loadStatistics(rae, stats);
  return { rae, side: rae.latentSide * decoder_patch_size, normalized: stats !== undefined, stats, classes, step };
}

/** An encoder at the size it was trained at. */
function encoderAlone(encoder: Encoder): Omit<LoadedModel, 'name' | 'config'> {
  const side = encoder.spec.vit.grid[0] * encoder.patch;
  const rae = withoutDecoder(encoder, { encoderInputSize: side });
  return { rae, side, normalized: false, classes: undefined, step: undefined };
}

/** An RAE that can encode: a decoder without layers and with unset weights stands in for the one that is not needed. */
function withoutDecoder(
  encoder: Encoder,
  options: { encoderInputSize: number; reshapeTo2d?: boolean; eps?: number },
): Rae {
  const sizes = { width: 4, depth: 0, heads: 1, hidden: 1, patch: 1, tokens: 1 };
  const decoder = skipInit(() => new Decoder({ ...sizes, channels: encoder.width }));
  return new Rae({ ...options, encoder, decoder, noiseTau: 0 }).requiresGrad_(false).eval();
}

function checkFit(generator: Stage2Model, rae: Rae): void {
  const [made, wanted] = [shapeOf(generator), rae.latentShape.join(', ')];
  if (made === wanted) return;
  throw new ConfigError(
    `--model: expected a generator of latents [${wanted}], received one of [${made}]. Stage 2 must have been trained on this RAE.`,
  );
}

/** A file that the model at `path` names. ConfigError when it is not there, as where a configuration's paths are of another machine. */
function existing(file: string, { part, path, flag }: { part: string; path: string; flag: string }): string {
  if (existsSync(file)) return file;
  const next = hintFor(file) || 'Its paths begin at the working directory, or beside it or above.';
  throw new ConfigError(
    `${flag}: expected the ${part} that '${path}' names, received '${file}', which is not there. ${next}`,
  );
}

function missing(flag: string, part: string, path: string, verb: string): ConfigError {
  return new ConfigError(
    `${flag}: expected a model with a ${part}, received '${path}' without one. Train it with \`${verb}\`.`,
  );
}
