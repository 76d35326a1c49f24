// The chain of verbs as a user types them, on the embedded set with a handful of steps: pretrain, train both stages, statistics, sample,
// reconstruct, encode and decode, inspect; then what he does wrong. The pictures are noise; that they come out the same is the point.

import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { decodeImage } from '../../src/io/image.ts';
import { loadNpz } from '../../src/io/npz.ts';
import { loadSafetensors } from '../../src/io/safetensors.ts';
import { dispose } from '../../src/tensor/index.ts';
import { captureOutput, err, forgetOutput, out } from '../capture.ts';
import { rae, temporaryFolder, trainArguments } from './small-runs.ts';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  const steps = ['--steps', '4'];
  await rae(trainArguments('encoder', folder, at('encoder'), steps));
  await rae(trainArguments('rae', folder, at('rae'), steps));
  await rae(trainArguments('dit', folder, at('dit'), [...steps, '--set', 'data.flip=true']));
});

captureOutput();

/** Runs a verb with --json and gives its result; standard error must stay empty. */
async function result(...args: string[]): Promise<Record<string, unknown>> {
  forgetOutput();
  const code = await main([...args, '--json']);
  expect([code, err]).toEqual([0, '']);
  expect(out.trim().split('\n')).toHaveLength(1);
  return JSON.parse(out);
}

const threads = ['--threads', '1'];
const images = (name: string) => loadNpz(at(name)).get('arr_0')!;

describe('rae stats', () => {
  it('gives the statistics that the training of stage 2 computed for itself', async () => {
    const found = await result('stats', '--rae', at('rae'), '--out', at('stats.safetensors'), ...threads);
    expect(found).toMatchObject({ pictures: 64, mode: 'exact', shape: [64, 4, 4] });
    await result('stats', '--rae', at('rae'), '--out', at('momentum.npz'), '--momentum', '--batch', '16', ...threads);
    expect(loadNpz(at('momentum.npz')).get('var')!.shape).toEqual([64, 4, 4]);
    const difference = await result('inspect', '--diff', at('stats.safetensors'), join(at('dit'), 'stats.safetensors'));
    expect(difference).toMatchObject({ equal: true, same: 2 });
  });
});

describe('rae sample', () => {
  const sample = (...args: string[]) => result('sample', '--model', at('dit'), '--steps', '3', ...threads, ...args);

  it('makes the same bytes twice, whatever --num, --batch and --first', async () => {
    const found = await sample('--labels', 'all', '--num', '37', '--npz', at('a.npz'), '--out', at('samples'));
    expect(found).toMatchObject({ pictures: 37, evaluations: 2, networkBatch: 32, sampler: 'euler', end: 'reference' });
    const whole = images('a.npz');
    expect(whole.shape).toEqual([37, 32, 32, 3]);
    await sample('--labels', 'all', '--num', '37', '--batch', '1', '--npz', at('b.npz'));
    expect(readFileSync(at('b.npz'))).toEqual(readFileSync(at('a.npz')));
    await sample('--labels', 'all', '--num', '6', '--first', '3', '--npz', at('c.npz'));
    const picture = 32 * 32 * 3;
    expect(images('c.npz').data).toEqual(whole.data.slice(3 * picture, 9 * picture));
    expect(loadNpz(at('a.npz')).get('arr_1')!.data).toEqual(
      BigInt64Array.from({ length: 37 }, (_, i) => BigInt(i % 10)),
    );
    const files = readdirSync(at('samples'));
    expect([files.length, files[0], files.at(-1)]).toEqual([37, '000000.png', '000036.png']);
    const third = await decodeImage(join(at('samples'), '000003.png'));
    expect(Buffer.from(third.data)).toEqual(Buffer.from(images('c.npz').data.slice(0, picture) as Uint8Array));
  });

  it('takes class names, guidance, a guide, another sampler, given noise and the raw weights', async () => {
    const guide = join(at('dit'), 'checkpoints', 'step-0000003');
    await sample('--labels', 'ring,7', '--guidance', 'auto:1.5@0.1-0.9', '--guide', guide, '--npz', at('auto.npz'));
    await sample('--labels', 'ring,7', '--raw', '--sampler', 'heun2', '--end', 'zero', '--npz', at('raw.npz'));
    await result(
      'encode',
      '--model',
      at('dit'),
      '--input',
      'embedded',
      '--num',
      '2',
      '--out',
      at('noise.npz'),
      ...threads,
    );
    await sample('--labels', 'ring,7', '--noise', at('noise.npz'), '--npz', at('noised.npz'));
    const pictures = ['auto.npz', 'raw.npz', 'noised.npz'].map((name) => Buffer.from(images(name).data as Uint8Array));
    expect(pictures.every(({ length }) => length === 2 * 32 * 32 * 3)).toBe(true);
    expect(new Set(pictures.map((bytes) => bytes.toString('base64'))).size).toBe(3);
  });

  it('writes a grid with a class in each column', async () => {
    await sample('--labels', 'all', '--num', '20', '--out', at('grid.png'));
    const { width, height } = await decodeImage(at('grid.png'));
    expect([width, height]).toEqual([10 * 34 + 2, 2 * 34 + 2]);
  });

  it('stops at a signal with code 130 and leaves no half grid', async () => {
    const timer = setTimeout(() => process.kill(process.pid, 'SIGINT'), 200);
    const args = ['--num', '20000', '--out', at('never.png'), '--json', ...threads];
    expect(await main(['sample', '--model', at('dit'), ...args])).toBe(130);
    clearTimeout(timer);
    expect(err).toMatch(/^rae: interrupted: after \d+ of 20000 pictures; nothing was written\.\n$/);
    expect(readdirSync(folder).filter((name) => name.includes('never'))).toEqual([]);
  });

  it('a set that was interrupted goes on with the same command, and refuses another one', async () => {
    const big = ['sample', '--model', at('dit'), '--steps', '3', ...threads, '--npz', at('long.npz')];
    const timer = setInterval(() => {
      if (!existsSync(join(at('long.npz.part'), 'done'))) return;
      clearInterval(timer);
      process.kill(process.pid, 'SIGINT');
    }, 5);
    expect(await main([...big, '--num', '20000', '--json'])).toBe(130);
    const [, made = '0'] = /after (\d+) of 20000 pictures; they stay, the same command goes on/.exec(err) ?? [];
    expect(Number(made)).toBeGreaterThan(0);
    forgetOutput();
    expect(await main([...big, '--num', '20000', '--seed', '1', '--json'])).toBe(2);
    expect(err).toMatch(
      /^rae: --npz: expected what '.*long\.npz\.part' was begun with .* received seed 1 instead of 0\./,
    );
    const num = String(Number(made) + 40);
    const rest = await result(...big, '--num', num);
    expect(rest).toMatchObject({ pictures: Number(num), madeBefore: Number(made) });
    await sample('--num', num, '--npz', at('whole.npz'));
    expect(readFileSync(at('long.npz'))).toEqual(readFileSync(at('whole.npz')));
    expect(readdirSync(folder).filter((name) => /long\.npz\.|whole\.npz\./.test(name))).toEqual([]);
  });

  it('bytes are truncated in an npz and rounded in a grid, unless told otherwise', async () => {
    const [one, two] = [
      ['--num', '1', '--npz', at('cut.npz'), '--out', at('rounded.png')],
      ['--num', '1', '--npz', at('round.npz'), '--rounding', 'round'],
    ];
    await sample(...one);
    await sample(...two);
    const grid = await decodeImage(at('rounded.png'));
    expect(Buffer.from(grid.data)).toEqual(Buffer.from(images('round.npz').data as Uint8Array));
    expect(images('cut.npz').data).not.toEqual(images('round.npz').data);
  });
});

describe('rae reconstruct, encode and decode', () => {
  it('agree: decoding what was encoded gives the reconstruction', async () => {
    const input = ['--input', 'embedded', '--num', '3', ...threads];
    const found = await result('reconstruct', '--model', at('dit'), ...input, '--out', at('recon'));
    expect(found.scores).toHaveLength(3);
    expect(found.psnr).toBeGreaterThan(3);
    for (const ending of ['safetensors', 'npz']) {
      const latents = at(`latents.${ending}`);
      expect(await result('encode', '--model', at('dit'), ...input, '--out', latents)).toMatchObject({
        normalized: true,
      });
      await result('decode', '--model', at('dit'), '--input', latents, '--out', at(`decoded-${ending}`), ...threads);
      for (const i of [0, 1, 2]) {
        const decoded = readFileSync(join(at(`decoded-${ending}`), `00000${i}.png`));
        expect(decoded).toEqual(readFileSync(join(at('recon'), `embedded-000${i}.png`)));
      }
    }
  });

  it('raw latents are those of the encoder, whose run is a model of its own', async () => {
    const input = ['--input', 'embedded', '--num', '3', ...threads];
    await result('encode', '--model', at('dit'), ...input, '--raw-latents', '--out', at('raw-dit.safetensors'));
    await result('encode', '--model', at('encoder'), ...input, '--out', at('raw-encoder.safetensors'));
    const difference = await result('inspect', '--diff', at('raw-dit.safetensors'), at('raw-encoder.safetensors'));
    expect(difference).toMatchObject({ equal: true });
    await result(
      'decode',
      '--model',
      at('rae'),
      '--input',
      at('raw-dit.safetensors'),
      '--out',
      at('raw.png'),
      ...threads,
    );
    const tensors = loadSafetensors(at('raw-dit.safetensors'));
    expect(tensors.get('latents')!.shape).toEqual([3, 64, 4, 4]);
    dispose(tensors);
  });

  it('show inputs above reconstructions in a grid, and PSNR and SSIM in a table', async () => {
    const args = ['reconstruct', '--model', at('rae'), '--input', 'embedded', '--num', '2', '--out', at('recon.png')];
    expect(await main([...args, ...threads])).toBe(0);
    expect(out).toMatch(/^picture +PSNR dB +SSIM\nembedded-0000 +\d+\.\d\d +-?0\.\d{4}\n[\s\S]*\nmean +\d/);
    const { width, height } = await decodeImage(at('recon.png'));
    expect([width, height]).toEqual([2 * 34 + 2, 2 * 34 + 2]);
  });
});

describe('rae reconstruct --latent-noise', () => {
  const sweep = ['reconstruct', '--model', at('rae'), '--input', 'embedded', '--num', '6', '--latent-noise'];

  it('gives the figures of every strength, a grid with a row for each, and worse pictures for more noise', async () => {
    const found = await result(...sweep, '0,3', '--out', at('sweep.png'), ...threads);
    expect(found).toMatchObject({ pictures: 6, unreadable: 0, figures: [{ noise: 0 }, { noise: 3 }] });
    const [clean, noisy] = found.figures as Record<string, number>[];
    expect(noisy!.psnr).toBeLessThan(clean!.psnr!);
    expect(Object.keys(clean!)).toEqual(
      expect.arrayContaining(['ssim', 'encoder_frechet', 'high_frequency', 'patch_peak']),
    );
    const { width, height } = await decodeImage(at('sweep.png'));
    expect([width, height]).toEqual([6 * 34 + 2, 3 * 34 + 2]);
  });

  it('finds its strengths and its flags judged', async () => {
    expect(await main([...sweep, '0,-1', '--out', at('x.png')])).toBe(2);
    expect(err).toMatch(/--latent-noise: expected a number of at least 0, received '-1'/);
    forgetOutput();
    expect(await main([...sweep, '0', '--out', at('folder')])).toBe(2);
    expect(err).toMatch(/--out: expected FILE\.png for the grid/);
    forgetOutput();
    expect(await main([...sweep.slice(0, -1), '--seed', '1', '--out', at('x.png')])).toBe(2);
    expect(err).toMatch(/--seed: expected to be used with --latent-noise/);
  });
});

describe('rae train rae --estimate', () => {
  it('says what a step takes before anything is there, also over an encoder that is a name', async () => {
    const found = await result('train', 'rae', '--recipe', 'embedded-rae', '--disc', 'encoder', '--estimate');
    expect(found).toMatchObject({ parameters: { decoder: 1_027_008 }, adversarial: { flops: expect.any(Number) } });
    forgetOutput();
    expect(
      await main(['train', 'rae', '--recipe', 'photos-rae', '--encoder', 'facebook/vit-mae-base', '--estimate']),
    ).toBe(2);
    expect(err).toMatch(/^rae: .*data\.image_size: expected 32, what the decoder makes/);
  });

  it('is not needed: without it a run must have its folder', async () => {
    expect(await main(['train', 'rae', '--recipe', 'embedded-rae'])).toBe(2);
    expect(err).toMatch(/^rae: --out: expected the folder of the run, received .none./);
  });
});

describe('rae inspect and rae recipes', () => {
  it('tell what each run is and what comes next', async () => {
    expect(await result('inspect', at('encoder'))).toMatchObject({ stage: 'encoder', checkpoints: [3, 4] });
    expect(await result('inspect', at('rae'))).toMatchObject({ stage: 'rae', imageSize: 32 });
    const dit = await result('inspect', at('dit'));
    expect(dit).toMatchObject({ stage: 'dit', data: 'the embedded set', lastMetrics: { step: 4 } });
    expect(dit.next).toBe(`rae sample --model ${at('dit')} --out samples.png`);
    const encoder = await result('inspect', join(at('dit'), 'encoder.safetensors'));
    expect(encoder.what).toBe('encoder (vit): 64 wide, 2 layers, patches of 8, trained at 32 x 32');
  });

  it('a recipe printed as YAML is the configuration that it stands for', async () => {
    const { recipes } = (await result('recipes')) as { recipes: { name: string }[] };
    expect(recipes.map(({ name }) => name)).toContain('embedded-dit');
    forgetOutput();
    expect(await main(['recipes', 'embedded-dit'])).toBe(0);
    expect(out).toMatch(/^# rae recipes embedded-dit: .*\nstage_1:\n/);
  });
});

describe('what cannot be meant is refused with code 2 and a sentence that names it', () => {
  const model = ['--model', at('dit')];
  it.each<[string[], RegExp]>([
    [['sample', ...model], /^--out, --npz: expected at least one of them, received neither/],
    [['sample', '--out', 'x.png'], /^--model, --config: expected one of them, received neither/],
    [
      ['sample', '--model', 'nowhere', '--out', 'x.png'],
      /^--model: expected an existing run directory or file, received 'nowhere'/,
    ],
    [['sample', '--model', at('rae'), '--out', 'x.png'], /^--model: expected a model with a generator/],
    [
      ['sample', ...model, '--out', 'x.png', '--labels', 'rign'],
      /^--labels: .* received 'rign'\. Did you mean 'ring'\?/,
    ],
    [['sample', ...model, '--out', 'x.png', '--sampler', 'heun'], /^--sampler: .* Did you mean 'heun2'\?/],
    [['sample', ...model, '--out', 'x.png', '--guidance', '2'], /^--guidance: expected 'none', 'cfg:SCALE'/],
    [['sample', ...model, '--out', 'x.png', '--guidance', 'auto:2'], /^--guide: expected the weaker model/],
    [
      ['sample', ...model, '--out', 'x.png', '--guide', at('dit')],
      /^--guide: expected --guidance auto:SCALE beside it/,
    ],
    [
      ['sample', ...model, '--out', 'x.png', '--num', '0'],
      /^--num: expected a whole number of at least 1, received '0'/,
    ],
    [['sample', ...model, '--out', 'x.png', '--ema', '--raw'], /^option '--raw' cannot be used with option '--ema/],
    [['sample', ...model, '--npz', 'x.zip'], /^--npz: expected a name ending in \.npz/],
    [['sample', ...model, '--out', 'x.png', '--precision', 'fp16'], /'--precision <p>' argument 'fp16' is invalid/],
    [['encode', ...model, '--input', 'embedded', '--out', 'x.pt'], /^--out: expected a name ending in/],
    [
      ['encode', ...model, '--input', 'nowhere', '--out', 'x.npz'],
      /^--input: expected an existing picture, folder or archive/,
    ],
    [
      ['reconstruct', ...model, '--input', folder, '--out', `${folder}/.`],
      /^--out: expected another place than --input/,
    ],
    [['decode', '--model', at('encoder'), '--input', 'x', '--out', 'y'], /^--model: expected a model with a decoder/],
    [['train', 'rae', '--resume', '--out', at('dit')], /^train rae: .* received one for 'train dit'/],
    [['train', 'dit', '--resume', '--out', at('encoder')], /^train dit: .* received one for 'train encoder'/],
    [['stats', '--rae', 'nowhere', '--out', 'x.npz'], /^--rae: expected an existing run/],
    [['inspect', 'nowhere'], /^rae inspect: expected an existing file or folder, received 'nowhere'/],
    [['inspect', '--diff', at('dit')], /^rae inspect --diff: expected two files, received one/],
    [['recipes', 'embedded-ra'], /^rae recipes: .* Did you mean 'embedded-rae'\?/],
  ])('rae %j', async (args, message) => {
    expect(await main(args)).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^rae.*: .*\n$/);
    expect(err.replace(/^rae: /, '')).toMatch(message);
  });

  it('a file that is no picture fails with code 1', async () => {
    const input = join(at('dit'), 'config.yaml');
    expect(await main(['reconstruct', ...model, '--input', input, '--out', at('x.png')])).toBe(1);
    expect(err).toMatch(/^rae: .*config\.yaml: not a readable picture/);
  });
});
