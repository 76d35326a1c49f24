// What `rae train` refuses before anything is loaded or written, as its user types it.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { captureOutput, err } from '../../test/capture.ts';
import { loadSafetensors } from '../io/safetensors.ts';
import { dispose } from '../tensor/index.ts';
import { main } from './main.ts';

const folder = mkdtempSync(join(tmpdir(), 'rae-checks-'));
afterAll(() => rmSync(folder, { recursive: true }));
captureOutput();

const set = (...values: string[]) => values.flatMap((value) => ['--set', value]);
const SMALL = set('data.synthetic.train_size=64', 'data.synthetic.eval_size=8', 'training.global_batch_size=16');
const rae = ['rae', '--recipe', 'embedded-rae', ...SMALL];
const gan = [...rae, '--disc', 'encoder'];
const dit = ['dit', '--recipe', 'embedded-dit', '--rae', 'embedded', ...SMALL];
const encoder = ['encoder', '--recipe', 'embedded-encoder', ...SMALL];
const decoder = 'stage_1.params.pretrained_decoder_path';

it.each<[string, string[], RegExp]>([
  [
    'a warm-up as long as the run',
    [...rae, ...set('training.steps=100')],
    /training\.scheduler\.warmup_steps: expected less than the 100 steps that it counts, received 100/,
  ],
  [
    'a decay that begins after the end',
    [...rae, ...set('training.scheduler.decay_start_steps=7000')],
    /training\.scheduler\.decay_start_steps: expected less than the 6000 steps/,
  ],
  [
    "a discriminator's warm-up that takes all its updates",
    [...gan, ...set('training.steps=500', 'gan.disc.scheduler.warmup_steps=400')],
    /gan\.disc\.scheduler\.warmup_steps: expected less than the 312 steps that it counts, received 400/,
  ],
  [
    'LPIPS that begins after the end',
    [...gan, ...set('training.steps=500', 'gan.loss.lpips_start_step=600')],
    /gan\.loss\.lpips_start: expected a step before the run's end 500, received 600/,
  ],
  [
    'a batch larger than the set',
    [...dit, ...set('training.global_batch_size=100')],
    /training\.global_batch_size: expected at most 64, the number of pictures, received 100/,
  ],
  ['no folder', [...rae, '--out', ''], /--out: expected the folder of the run, received ''/],
  ['an RAE that is not there', [...dit, '--rae', 'nowhere'], /--rae: expected an existing run directory or file/],
  [
    'pictures that no memory holds',
    [...rae, ...set('data.image_size=1000000', 'stage_1.params.decoder_patch_size=250000')],
    /expected sizes that fit into the .* of this machine's memory, received ones that take about .* TB/,
  ],
  [
    'a generator that none holds',
    [...dit, ...set('stage_2.params.hidden_size=[9600000,160]')],
    /expected sizes that fit/,
  ],
  ['an encoder that none holds', [...encoder, ...set('mae.hidden_size=9600000')], /expected sizes that fit/],
  [
    "an input size that is not the RAE's",
    [...dit, ...set('stage_2.params.input_size=8')],
    /stage_2\.params\.input_size: expected 4, the side of the RAE's latents, received 8/,
  ],
  [
    "channels that are not the RAE's",
    [...dit, ...set('stage_2.params.in_channels=128')],
    /stage_2\.params\.in_channels: expected 64, the channels of the RAE's latents, received 128/,
  ],
  [
    "a number of classes that is not the pictures'",
    [...dit, ...set('misc.num_classes=7')],
    /misc\.num_classes: expected 10, the classes of the pictures, received 7/,
  ],
  [
    'a decoder to start from that is not there',
    [...rae, ...set(`${decoder}=nowhere.pt`)],
    /pretrained_decoder_path: expected a file with a decoder's weights, received 'nowhere\.pt', which is not there/,
  ],
  [
    "another network's weights for it",
    [...rae, ...set(`${decoder}=assets/encoder.safetensors`)],
    /pretrained_decoder_path: 'assets\/encoder\.safetensors': .*loadStateDict: expected 88 keys/,
  ],
  ['guidance below none', [...dit, ...set('guidance.scale=0.5')], /guidance\.scale: expected at least 1/],
])('%s is refused with code 2, and nothing is left behind', async (_, args, message) => {
  const out = join(folder, 'run');
  const [stage, ...rest] = args;
  expect(await main(['train', stage!, '--out', out, ...rest])).toBe(2);
  expect(err).toMatch(message);
  expect(err.trimEnd().split('\n')).toHaveLength(1);
  expect(existsSync(out)).toBe(false);
});

it('a decay that ends after the run is said, and no more', async () => {
  const out = join(folder, 'short');
  const args = ['--steps', '1', '--threads', '1', ...set('training.steps=500')];
  expect(await main(['train', 'rae', '--out', out, ...rae.slice(1), ...args])).toBe(0);
  expect(err).toMatch(/warning: training\.scheduler: the decay ends at step 6000, after the last of 500/);
});

it('a decoder starts from the weights that the configuration names', async () => {
  const out = join(folder, 'started');
  const weights = 'assets/decoder.safetensors';
  const args = ['--steps', '1', '--threads', '1', ...set(`${decoder}=${weights}`, 'training.optimizer.lr=1e-12')];
  expect(await main(['train', 'rae', '--out', out, ...rae.slice(1), ...args])).toBe(0);
  const [want, got] = [weights, join(out, 'checkpoints/step-0000001/model.safetensors')].map((f) => loadSafetensors(f));
  for (const [key, tensor] of got!) {
    const error = tensor.sub(want!.get(key)!.to('f32')).abs().max().item();
    expect(error, key).toBeLessThan(1e-6);
  }
  dispose([want!, got!]);
});

it('a folder of which no picture can be read is named with the first few, before anything is loaded', async () => {
  const data = join(folder, 'photos');
  mkdirSync(data);
  for (let i = 0; i < 24; i++) writeFileSync(join(data, `${10 + i}.jpg`), 'no picture');
  const out = join(folder, 'unread');
  const args = ['--recipe', 'photos-rae', '--data', data, '--out', out, ...set('training.global_batch_size=4')];
  const small = set('data.image_size=32', 'stage_1.params.encoder_input_size=32');
  expect(await main(['train', 'rae', ...args, ...small])).toBe(1);
  expect(err).toMatch(
    /photos: none of its \d+ pictures can be read: .*10\.jpg: not a readable picture \(.*\); .*; and \d+ more\./,
  );
  expect(existsSync(out)).toBe(false);
});
