// Models from a configuration: the RAE of stage 1 and the network of stage 2, with random weights or with those of files.

import type { DecoderConfig, RunConfig } from '../config/index.ts';
import { loadSafetensors } from '../io/safetensors.ts';
import { Decoder, type DecoderOptions } from '../models/decoder.ts';
import type { Encoder } from '../models/encoders/index.ts';
import { Rae } from '../models/rae.ts';
import { createStage2, type Stage2Model } from '../models/stage2.ts';
import { skipInit } from '../nn/index.ts';
import { dispose, type Generator, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { loadDecoderState } from '../weights/index.ts';

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
  const { encoder_input_size, noise_tau, reshape_to_2d, eps } = config.stage_1.params;
  const decoder = new Decoder({ ...decoderSizes(config, encoder), generator });
  return new Rae({
    encoder,
    decoder,
    encoderInputSize: encoder_input_size,
    noiseTau: noise_tau,
    reshapeTo2d: reshape_to_2d,
    eps,
  });
}

/** The same with weights from a file (a decoder's flat state dict), in evaluation mode; statistics are optional. */
export function loadRae(
  config: RunConfig,
  { encoder, decoder, stats }: { encoder: Encoder; decoder: string; stats?: string | undefined },
): Rae {
  const rae = skipInit(() => buildRae(config, { encoder }));
  withTensors(decoder, (state) => loadDecoderState(rae.decoder, state));
  if (stats !== undefined) loadStatistics(rae, stats);
  rae.requiresGrad_(false);
  return rae.eval();
}

/** Gives an RAE the latent statistics of a file with `mean` (may be missing) and `var`. */
export function loadStatistics(rae: Rae, path: string): void {
  withTensors(path, (state) => {
    const variance = state.get('var');
    if (variance === undefined) {
      throw new ConfigError(
        expected(
          `statistics '${path}'`,
          "the tensors 'mean' and 'var'",
          [...state.keys()],
          'Make them with `rae stats`.',
        ),
      );
    }
    rae.setStatistics({ mean: state.get('mean'), variance });
  });
}

/** The network of stage 2 with the weights of a file, in evaluation mode. */
export function loadGenerator(config: RunConfig, path: string): Stage2Model {
  const model = skipInit(() => createStage2(stage2Of(config)));
  withTensors(path, (state) => model.loadStateDict(state));
  model.requiresGrad_(false);
  return model.eval();
}

/** The stage_2 section. ConfigError when the configuration has none. */
export function stage2Of(config: RunConfig): NonNullable<RunConfig['stage_2']> {
  if (config.stage_2 === undefined) {
    throw new ConfigError(
      expected('configuration', 'a section stage_2 (a generator)', 'none', 'Give the run of `rae train dit`.'),
    );
  }
  return config.stage_2;
}

function decoderSizes(config: RunConfig, encoder: Encoder): DecoderOptions {
  const { decoder_config, decoder_config_path, decoder_patch_size, encoder_input_size } = config.stage_1.params;
  const name = Object.keys(DECODER_SIZES).find((known) =>
    new RegExp(`(^|[/_-])${known}$`, 'i').test(decoder_config_path),
  );
  const sizes = decoder_config ?? (name === undefined ? undefined : DECODER_SIZES[name]);
  if (sizes === undefined) {
    throw new ConfigError(
      expected(
        'stage_1.params.decoder_config_path',
        `one of ${Object.keys(DECODER_SIZES).join(', ')}`,
        decoder_config_path,
        'Or give the sizes in stage_1.params.decoder_config.',
      ),
    );
  }
  return {
    channels: encoder.width,
    width: sizes.decoder_hidden_size,
    depth: sizes.decoder_num_hidden_layers,
    heads: sizes.decoder_num_attention_heads,
    hidden: sizes.decoder_intermediate_size,
    eps: sizes.layer_norm_eps,
    patch: decoder_patch_size,
    tokens: (encoder_input_size / encoder.patch) ** 2,
  };
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

function withTensors(path: string, use: (state: Map<string, Tensor>) => void): void {
  const state = loadSafetensors(path);
  try {
    use(state);
  } finally {
    dispose(state);
  }
}
