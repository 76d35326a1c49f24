// Stage 2 on a cache of latents, through the command line: what it computes, and what it refuses.

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { saveSafetensors } from '../../src/io/safetensors.ts';
import { ones } from '../../src/tensor/index.ts';
import { child } from './kill.ts';
import { CACHED, cacheArguments, outcome, rae, temporaryFolder, trainArguments } from './small-runs.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const END = 6;
const onCache = (out: string, more: readonly string[] = []) =>
  trainArguments('cached', folder, at(out), ['--steps', String(END), ...more]);

beforeAll(async () => {
  await rae(trainArguments('encoder', folder, at('encoder'), ['--steps', '2']));
  await rae(trainArguments('rae', folder, at('rae'), ['--steps', '2']));
  for (const args of cacheArguments(folder)) await rae(args);
});

describe('training on a cache', () => {
  it('computes the bits that encoding as it goes computes, mirrored pictures included', async () => {
    const same = [...CACHED, '--stats', join(at('latents'), 'stats.safetensors')];
    await rae(trainArguments('dit', folder, at('online'), [...same, '--steps', String(END)]));
    await rae(onCache('offline'));
    const [online, offline] = [outcome(at('online')), outcome(at('offline'))];
    expect(offline['model.safetensors'] === online['model.safetensors']).toBe(true);
    expect(offline.metrics).toBe(online.metrics);
  });

  it('leaves a run that samples without the pictures and the cache', async () => {
    const sample = ['sample', '--model', at('offline'), '--num', '2', '--steps', '2', '--out', at('samples.png')];
    await rae(sample);
    await rae([...sample, '--ema', '0.9']);
    await rae([...sample, '--ema', '0.8'], 2);
  });

  it('is resumed to the same bits, with accumulation, in bf16 and with several averages, and with blocks computed again', async () => {
    await rae(trainArguments('cached', folder, at('parted'), ['--steps', '2']));
    const recomputed = ['--set', 'training.activation_checkpointing=true'];
    await rae([
      'train',
      'dit',
      '--resume',
      '--out',
      at('parted'),
      '--threads',
      '1',
      '--steps',
      String(END),
      ...recomputed,
    ]);
    expect(outcome(at('parted'))).toEqual(outcome(at('offline')));
    expect(Object.keys(outcome(at('parted')))).toContain('ema-0.9.safetensors');
  });
});

it('an encoding that is killed inside a write goes on to the same cache', async () => {
  const [args] = cacheArguments(folder) as [string[]];
  const again = [...args, '--cache', at('killed')];
  expect((await child(again, { failpoint: 'atomic-write:middle@2' })).signal).toBe('SIGKILL');
  expect((await child(again)).code).toBe(0);
  const files = (name: string) =>
    readdirSync(at(name)).map((file) => [file, readFileSync(join(at(name), file), 'base64')]);
  expect(files('killed')).toEqual(files('latents'));
});

describe('training on a cache refuses', () => {
  const refused = async (name: string, change: (manifest: { origin: object }) => unknown, more: string[] = []) => {
    cpSync(at('latents'), at(name), { recursive: true });
    const path = join(at(name), 'manifest.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8'));
    change(manifest);
    writeFileSync(path, JSON.stringify(manifest));
    await rae(onCache(`from-${name}`, ['--latents', at(name), ...more]), 2);
    rmSync(at(name), { recursive: true });
  };

  it('one of another encoder', () =>
    refused('of-others', ({ origin }) => Object.assign(origin, { encoder: 'f'.repeat(64) })));
  it('one of another size', () => refused('larger', ({ origin }) => Object.assign(origin, { encoder_input_size: 64 })));
  it('one of other statistics', async () => {
    const moments = new Map(['mean', 'var'].map((name) => [name, ones([64, 4, 4])]));
    saveSafetensors(at('others.safetensors'), moments);
    await refused('normalised', () => {}, ['--stats', at('others.safetensors')]);
  });
  it('one that is not complete', () =>
    refused('unfinished', (manifest) => Object.assign(manifest, { statistics: undefined })));
  it('one without mirrored latents, where pictures are to be mirrored', async () => {
    const oneSided = cacheArguments(folder)[1]!.filter((argument) => argument !== '--flips');
    await rae([...oneSided, '--cache', at('one-sided')]);
    await rae(onCache('of-one-side', ['--latents', at('one-sided')]), 2);
  });
});
