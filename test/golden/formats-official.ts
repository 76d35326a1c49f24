// Kind `official`: checkpoints in the reference's layouts, their structure, and forward passes of what was loaded from them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { collectTensors, loadTorch, readTorch } from '../../src/io/torch-pickle/index.ts';
import { Decoder } from '../../src/models/decoder.ts';
import { Rae } from '../../src/models/rae.ts';
import { createStage2 } from '../../src/models/stage2.ts';
import { skipInit } from '../../src/nn/index.ts';
import { noGrad, tidy } from '../../src/tensor/index.ts';
import { decoderOptions, loadDecoderState, loadEncoder } from '../../src/weights/index.ts';
import { expectStructure } from './formats-structure.ts';
import { type Entry, type Fixture, readManifest, skip } from './harness.ts';

export function official(entry: Entry, fixture: Fixture): void {
  tidy(() => {
    noGrad(() => {
      if (entry.config.rae) raeForward(entry, fixture);
      else if (entry.expected === undefined) stage2Forward(entry, fixture);
      else checkpoint(entry, fixture);
    });
  });
}

/** A file as it lies in the release: its structure; decoders are also loaded, strictly. */
function checkpoint(entry: Entry, fixture: Fixture): void {
  const value = readTorch(fixture.path);
  const { outcome, reason } = entry.expected as { outcome: string; reason?: string };
  if (outcome === 'loads') expectStructure(value, entry, fixture.path);
  const state = collectTensors(value, { name: fixture.path });
  if (![...state.keys()].some((key) => key.endsWith('decoder_embed.weight') && !key.includes('/'))) return;
  const load = () => void loadDecoderState(tinyDecoder(entry.dir), loadTorch(fixture.path));
  const { missing = [], unexpected = [] } = entry.config as { missing?: string[]; unexpected?: string[] };
  const mentioned =
    outcome === 'refused'
      ? [...reason!.matchAll(/[\w.]+(?=:)|\[[\d, ]+\]/g)].map(([part]) => part)
      : [...missing, ...unexpected];
  if (mentioned.length === 0) {
    load();
    return;
  }
  let message = '';
  try {
    load();
  } catch (error) {
    message = String(error);
  }
  for (const part of mentioned) expect(message).toContain(part);
}

function raeForward(entry: Entry, fixture: Fixture): void {
  const config = entry.config.rae as { encoder_config_path: string; encoder_input_size: number };
  for (const [name, file] of [
    ['nostats'],
    ['stat', 'official/stat.pt'],
    ['normalization_stats', 'official/normalization_stats.pt'],
  ] as const) {
    const encoder = loadEncoder(join(entry.dir, config.encoder_config_path));
    const decoder = tinyDecoder(entry.dir);
    loadDecoderState(decoder, loadTorch(join(entry.dir, 'official/model.pt')));
    const rae = new Rae({ encoder, decoder, encoderInputSize: config.encoder_input_size, noiseTau: 0 }).eval();
    if (file !== undefined) {
      const stats = loadTorch(join(entry.dir, file));
      rae.setStatistics({ mean: stats.get('mean'), variance: stats.get('var') });
    }
    const latent = rae.encode(fixture.get('inputs/x'));
    fixture.expectClose(`outputs/${name}/latent`, latent);
    fixture.expectClose(`outputs/${name}/recon`, rae.decode(latent));
  }
}

function stage2Forward(entry: Entry, fixture: Fixture): void {
  const params = entry.config.params as Record<string, unknown>;
  const model = skipInit(() => createStage2({ target: 'DiTwDDTHead', params }));
  model.loadStateDict(loadTorch(join(entry.dir, 'official/stage2_model.pt')));
  model.eval();
  fixture.expectClose(
    'outputs/v',
    model.forward(fixture.get('inputs/x'), fixture.get('inputs/t'), fixture.get('inputs/y')),
  );
}

/** The decoder that the area's checkpoints are for; one entry states its sizes. */
function tinyDecoder(dir: string): Decoder {
  const sizes = readManifest('formats')?.find(({ config }) => config.num_patches !== undefined)?.config;
  if (sizes === undefined) skip('the entry that states the sizes of the decoder is not in this folder');
  const { decoder_config, decoder_patch_size, num_patches } = sizes as {
    decoder_config: string;
    decoder_patch_size: number;
    num_patches: number;
  };
  const json = JSON.parse(readFileSync(join(dir, decoder_config), 'utf8')) as Record<string, unknown>;
  const set = { channels: json.hidden_size as number, patch: decoder_patch_size, tokens: num_patches };
  return skipInit(() => new Decoder(decoderOptions(json, set)));
}
