// The reference's YAML behind the command line: rae sample and rae reconstruct with --config do what its sample.py and stage1_sample.py
// do with the same file, weights, labels and noise. What they are held against is composed here of parts whose values are golden:
// the network, the encoder and the decoder (formats/official-*), and a plain Euler loop over the shifted grid (spec 10, 11.1, 13.1).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { loadConfig } from '../../src/config/index.ts';
import { loadRae } from '../../src/inference/build.ts';
import { decodeImage, encodePng } from '../../src/io/image.ts';
import { saveSafetensors } from '../../src/io/safetensors.ts';
import { loadTorch } from '../../src/io/torch-pickle/index.ts';
import type { Rae } from '../../src/models/rae.ts';
import { createStage2, type Stage2Model } from '../../src/models/stage2.ts';
import { full, manualSeed, noGrad, randn, type Tensor, tensor } from '../../src/tensor/index.ts';
import { loadEncoder } from '../../src/weights/index.ts';
import { captureOutput, err } from '../capture.ts';
import { root } from './harness.ts';

const formats = join(root, 'formats');
const official = join(formats, 'official');
const tiny = join(formats, 'configs', 'tiny.yaml'); // its paths begin at formats/, the folder above
const folder = mkdtempSync(join(tmpdir(), 'rae-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

captureOutput();

/** tiny.yaml with changes, in a folder of its own: paths as they were. */
function variant(name: string, ...changes: [RegExp | string, string][]): string {
  const text = changes.reduce(
    (yaml, [from, to]) => {
      expect(yaml).toMatch(from);
      return yaml.replace(from, to);
    },
    readFileSync(tiny, 'utf8'),
  );
  const path = join(folder, name);
  writeFileSync(path, text.replaceAll("'official/", `'${official}/`));
  return path;
}

const rae = (): Rae => {
  const config = loadConfig(variant('rae.yaml'));
  const encoder = loadEncoder(join(official, 'encoder-tiny'));
  return loadRae(config, { encoder, decoder: join(official, 'model.pt'), stats: join(official, 'stat.pt') });
};
const dit = (): Stage2Model => {
  const { target, params } = loadConfig(variant('dit.yaml')).stage_2!;
  const model = createStage2({ target, params });
  model.loadStateDict(loadTorch(join(official, 'stage2_model.pt')));
  return model.eval() as Stage2Model;
};

/** sample.py: 10 points of 1 - linspace(0, 0.999), shifted by sqrt(256 / 64); v(x, t) where t is where a step begins. */
function eulerLatents(noise: Tensor, labels: number[], velocity: (x: Tensor, t: Tensor, y: Tensor) => Tensor): Tensor {
  const shift = Math.sqrt(256 / 64);
  const times = Array.from({ length: 10 }, (_, i) => 1 - (0.999 * i) / 9).map(
    (u) => (shift * u) / (1 + (shift - 1) * u),
  );
  const y = tensor(labels, { dtype: 'i64' });
  let x = noise;
  for (let i = 0; i + 1 < times.length; i++) {
    x = x.add(velocity(x, full([labels.length], times[i]!), y).mul(times[i + 1]! - times[i]!));
  }
  return x;
}

async function pixelsOf(path: string): Promise<Uint8Array> {
  return (await decodeImage(path)).data;
}

/** The greatest difference of bytes. */
function distance(a: Uint8Array, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, byte, i) => Math.max(most, Math.abs(byte - b[i]!)), 0);
}

/** Pictures [1, 3, H, W] as torchvision's save_image makes bytes of them: rounded. */
function rounded(pixels: Tensor): ArrayLike<number> {
  return pixels.mul(255).add(0.5).clamp(0, 255).to('u8').permute([0, 2, 3, 1]).contiguous().toArray() as Uint8Array;
}

it.each([
  ['without guidance', [], 1],
  [
    "classifier-free guidance, with the older files' dashed keys",
    [['scale: 1.0\n  t_min: 0.0\n  t_max: 1.0', 'scale: 1.5\n  t-min: 0.5\n  t-max: 1.0']],
    1.5,
  ],
] as [string, [string, string][], number][])(
  'rae sample --config samples as sample.py does: %s',
  async (_, changes, scale) => {
    manualSeed(3);
    const noise = randn([2, 16, 4, 4]);
    saveSafetensors(join(folder, 'noise.safetensors'), new Map([['noise', noise]]));
    const config = changes.length === 0 ? tiny : variant('cfg.yaml', ...changes);
    const out = join(folder, 'samples');
    const args = [
      '--config',
      config,
      '--labels',
      '1,4',
      '--noise',
      join(folder, 'noise.safetensors'),
      '--rounding',
      'round',
    ];
    expect([await main(['sample', ...args, '--restart', '--out', out]), err]).toEqual([0, expect.any(String)]);
    const model = dit();
    const expected = noGrad(() => {
      const latents = eulerLatents(noise, [1, 4], (x, t, y) => {
        const v = model.forward(x, t, y);
        const time = t.toArray()[0] as number;
        if (scale === 1 || time < 0.5) return v;
        const free = model.forward(x, t, full([2], 6, { dtype: 'i64' }));
        return free.add(v.sub(free).mul(scale));
      });
      return rae().decode(latents);
    });
    for (const i of [0, 1]) {
      const made = await pixelsOf(join(out, `${String(i).padStart(6, '0')}.png`));
      expect(distance(made, rounded(expected.narrow(0, i, 1)))).toBeLessThanOrEqual(1);
    }
  },
);

it('autoguidance finds the guide of the configuration beside the configuration, from any working directory', async () => {
  const guide =
    "method: 'autoguidance'\n  scale: 1.42\n  guidance_model:\n    target: stage2.models.DDT.DiTwDDTHead\n    params: {depth: [2, 1], hidden_size: [16, 24], num_heads: [2, 2], input_size: 4, in_channels: 16, num_classes: 6}\n    ckpt: 'official/stage2_model.pt'";
  const config = variant('auto.yaml', ["method: 'cfg'\n  scale: 1.0", guide]);
  expect(await main(['sample', '--config', config, '--num', '1', '--out', join(folder, 'auto.png')])).toBe(0);
  expect(err).toContain('autoguidance 1.42');
});

it('rae reconstruct --config does as stage1_sample.py: the whole picture, stretched, and its reconstruction alone', async () => {
  const [width, height] = [45, 29];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);
  writeFileSync(join(folder, 'wide.png'), await encodePng({ width, height, data }));
  const out = join(folder, 'recon.png');
  expect([
    await main(['reconstruct', '--config', tiny, '--input', join(folder, 'wide.png'), '--out', out]),
    err,
  ]).toEqual([0, '']);
  const x = tensor([...data], { dtype: 'f32' })
    .div(255)
    .reshape([1, height, width, 3])
    .permute([0, 3, 1, 2])
    .contiguous();
  const model = rae();
  const expected = noGrad(() => model.decode(model.encode(x)));
  expect(distance(await pixelsOf(out), rounded(expected))).toBeLessThanOrEqual(1);
});

it('mean and deviation of pictures come from encoder_config_path, as in the reference', async () => {
  const other = mkdtempSync(join(folder, 'processor-'));
  writeFileSync(
    join(other, 'preprocessor_config.json'),
    '{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]}',
  );
  const config = variant('other.yaml', [
    "encoder_config_path: 'official/encoder-tiny'",
    `encoder_config_path: '${other}'`,
  ]);
  const png = join(folder, 'grey.png');
  writeFileSync(png, await encodePng({ width: 32, height: 32, data: new Uint8Array(3072).fill(90) }));
  for (const [name, yaml] of [
    ['a', tiny],
    ['b', config],
  ] as const) {
    expect(await main(['reconstruct', '--config', yaml, '--input', png, '--out', join(folder, `${name}.png`)])).toBe(0);
  }
  expect(distance(await pixelsOf(join(folder, 'a.png')), await pixelsOf(join(folder, 'b.png')))).toBeGreaterThan(1);
});

it.each([
  [
    ["encoder_config_path: 'official/encoder-tiny'", "encoder_config_path: 'official/encoder-none'"],
    /encoder_config_path: expected a folder that is there, received '/,
  ],
  [
    ['official/model.pt', 'models/decoders/x/model.pt'],
    /names, received 'models\/decoders\/x\/model.pt', which is not there. .*rae weights get hf:\/\/nyu-visionx\/RAE-collections\/decoders\/x\/model.pt/,
  ],
  [
    ["dinov2_path: 'official/encoder-tiny'", "dinov2_path: 'facebook/nothing'"],
    /which is not there. .*rae weights get facebook\/nothing/,
  ],
  [
    ['encoder_input_size: 28', 'encoder_input_size: 29'],
    /encoder_input_size: expected a multiple of the encoder's patch size/,
  ],
  [['depth: [2, 1]', 'depth: [3, 1]'], /Missing .*blocks\.3/],
] as [[string, string], RegExp][])('a configuration with %j is refused with the reason', async (change, sentence) => {
  const config = variant('bad.yaml', change);
  expect(await main(['sample', '--config', config, '--num', '1', '--out', join(folder, 'bad.png')])).toBeGreaterThan(0);
  expect(err).toMatch(sentence);
});

it('--model and --config are one and the same place', async () => {
  expect(await main(['sample', '--out', 'x.png'])).toBe(2);
  expect(err).toMatch(/--model, --config: expected one of them, received neither/);
  expect(await main(['sample', '--model', 'embedded', '--config', tiny, '--out', 'x.png'])).toBe(2);
  expect(err).toMatch(/received both/);
  expect(await main(['sample', '--config', folder, '--out', 'x.png'])).toBe(2);
  expect(err).toMatch(/--config: expected a YAML file/);
});
