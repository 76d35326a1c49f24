import { expect, test } from 'vitest';
import { type RunConfigInput, resolveConfig } from '../config/index.ts';
import { Decoder } from '../models/decoder.ts';
import { Encoder } from '../models/encoders/index.ts';
import { Rae } from '../models/rae.ts';
import { Generator, l1Loss, rand, type Tensor, tidy } from '../tensor/index.ts';
import { discriminatorGradients, generatorGradients, updateDiscriminator } from './adversarial.ts';
import { type Adversary, openAdversary, startsOf } from './adversary.ts';
import { addLatentNoise, drawLatentNoise } from './latent-noise.ts';
import type { Schedule } from './schedule.ts';

const seeded = (seed = 3) => ({ generator: new Generator(seed) });
const vit = { width: 32, depth: 4, heads: 2, hidden: 64, patch: 8, grid: [4, 4] as const };
const pictures = rand([8, 3, 32, 32], seeded());
const schedule = { stepsPerEpoch: 10, end: 100 } as Schedule;

function configWith(loss: Record<string, number> = {}, arch: Record<string, unknown> = {}, training: object = {}) {
  const input = {
    training: { global_batch_size: 8, steps: 100, ...training },
    data: { image_size: 32, synthetic: {} },
    gan: { disc: { arch: { ks: 3, ...arch }, scheduler: { warmup_steps: 4, warmup_from_zero: true } }, loss },
  } as RunConfigInput;
  return resolveConfig(input);
}

function setUp(): { rae: Rae; adversary: Adversary } {
  const encoder = new Encoder({ family: 'vit', vit, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
  const decoder = new Decoder({
    channels: 32,
    width: 32,
    depth: 1,
    heads: 2,
    hidden: 64,
    patch: 8,
    tokens: 16,
    ...seeded(),
  });
  for (const p of encoder.parameters()) p.detach().uniform_(-0.2, 0.2, seeded());
  const rae = new Rae({ encoder, decoder, encoderInputSize: 32, noiseTau: 0.5 }).eval();
  const config = configWith();
  return { rae, adversary: openAdversary(config, config.gan!, encoder, schedule) };
}

/** Gradients of one step of both players, with everything that the step leaves behind. */
function oneStep(micro: number) {
  const { rae, adversary } = setUp();
  const batching = { batch: 8, micro, bf16: false };
  const real = (at: number) => pictures.narrow(0, at, micro);
  return tidy(() => {
    const noise = drawLatentNoise(rae, 8, new Generator(5));
    const { gan, lambda } = generatorGradients(
      adversary,
      {
        layer: rae.decoder.decoder_pred.weight,
        reconstruct: (at) => rae.decode(addLatentNoise(rae.encode(real(at)), noise, at)),
        reconstructionLoss: (recon, at) => l1Loss(recon, real(at)),
      },
      batching,
    );
    const decoder = rae.decoder.namedParameters().map(([name, p]) => [name, p.grad!.toNumbers()] as const);
    const fake = (at: number) => rae.forward(real(at));
    const judged = discriminatorGradients(adversary, { fake, real }, batching);
    const heads = adversary.params.map(([name, p]) => [name, p.grad!.toNumbers()] as const);
    const vectors = new Map([...adversary.disc.stateDict()].filter(([key]) => /_[uv]$/.test(key)));
    return {
      figures: { gan, lambda, ...judged },
      gradients: new Map([...decoder, ...heads]),
      vectors: [...vectors.values()].map((v: Tensor) => v.toNumbers()),
    };
  });
}

test('micro-batches give both players the gradients of the whole batch, and the spectral vectors the same bits', () => {
  const whole = oneStep(8);
  for (const micro of [4, 2]) {
    const parted = oneStep(micro);
    for (const [name, value] of Object.entries(whole.figures))
      expect(parted.figures[name as keyof typeof whole.figures], name).toBeCloseTo(value, 5);
    for (const [name, want] of whole.gradients) {
      const got = parted.gradients.get(name)!;
      const scale = Math.max(...want.map(Math.abs), 1e-6);
      const error = Math.max(...want.map((x, i) => Math.abs(x - got[i]!)));
      expect(error / scale, name).toBeLessThan(/(0\.0|fn\.0|key)\.bias$/.test(name) ? 1 : 1e-3); // those have no true gradient
    }
    expect(parted.vectors).toEqual(whole.vectors);
  }
});

test('the generator leaves no gradient in the discriminator and does not move its spectral vectors', () => {
  const { rae, adversary } = setUp();
  const before = [...adversary.disc.stateDict()].map(([, t]) => t.toNumbers());
  const layer = rae.decoder.decoder_pred.weight;
  const reconstruct = () => rae.forward(pictures);
  const reconstructionLoss = (recon: Tensor) => l1Loss(recon, pictures);
  tidy(() =>
    generatorGradients(adversary, { layer, reconstruct, reconstructionLoss }, { batch: 8, micro: 8, bf16: false }),
  );
  expect(adversary.params.every(([, p]) => p.grad === undefined)).toBe(true);
  expect([...adversary.disc.stateDict()].map(([, t]) => t.toNumbers())).toEqual(before);
});

test("the discriminator's schedule counts its own updates", () => {
  const { rae, adversary } = setUp();
  const of = { fake: () => rae.forward(pictures), real: () => pictures };
  const rates = [0, 1, 2, 3, 4].map(
    (since) => updateDiscriminator(adversary, of, { batch: 8, micro: 8, bf16: false }, { step: 60 + since, since }).lr,
  );
  expect(rates).toEqual([0.25, 0.5, 0.75, 1, 1].map((x) => expect.closeTo(x * 2e-4, 10)));
});

test.each(['uniform', 'half-normal'] as const)(
  '%s latent noise by the loop is that of the model in training mode',
  (noise_kind) => {
    const built = setUp().rae;
    const rae = new Rae({ ...built, encoderInputSize: 32, noiseTau: 0.5, noise: noise_kind });
    const byModel = rae.train().encode(pictures, { generator: new Generator(7) });
    const clean = rae.eval().encode(pictures);
    const noise = drawLatentNoise(rae, 8, new Generator(7));
    expect(addLatentNoise(clean, noise, 0).toNumbers()).toEqual(byModel.toNumbers());
    expect(addLatentNoise(clean.narrow(0, 6, 2), noise, 6).toNumbers()).toEqual(byModel.narrow(0, 6, 2).toNumbers());
  },
);

test('starts are epochs with fractions, or steps', () => {
  const starts = (loss: Record<string, number>) => startsOf(configWith(loss), schedule);
  expect(starts({ disc_upd_start: 0.5, disc_start: 1.25 })).toEqual({ lpips: 0, discriminator: 5, adversarial: 13 });
  expect(starts({ disc_upd_start_step: 7, disc_start_step: 8, lpips_start_step: 2 })).toEqual({
    lpips: 2,
    discriminator: 7,
    adversarial: 8,
  });
});

test('starts that cannot be are refused', () => {
  expect(() => startsOf(configWith({ disc_start: 10 }), schedule)).toThrow(
    /gan\.loss\.disc_start: expected a step before the run's end 100, received 100\..*disc_start_step/s,
  );
  expect(() => startsOf(configWith({ disc_start_step: 3, disc_upd_start_step: 4 }), schedule)).toThrow(
    /disc_start: expected at least disc_upd_start/,
  );
});

test('a trunk that is missing or does not fit is refused before anything is trained', () => {
  const trunk = new Encoder({ family: 'vit', vit, mean: [0, 0, 0], std: [1, 1, 1] });
  const open = (arch: Record<string, unknown>, given: Encoder | undefined, data = {}) => {
    const config = configWith({}, arch);
    return openAdversary({ ...config, data: { ...config.data, ...data } }, config.gan!, given, schedule);
  };
  expect(() => open({}, undefined)).toThrow(/--disc: expected the trunk's weights/);
  expect(() => open({ key_depths: [2, 5] }, trunk)).toThrow(/key_depths: expected blocks of the trunk, 0 to 3/);
  expect(() => open({ resize: false }, trunk, { image_size: 36 })).toThrow(/resize: expected true, or pictures/);
  const narrow = new Encoder({ family: 'vit', vit: { ...vit, width: 24 }, mean: [0, 0, 0], std: [1, 1, 1] });
  expect(() => open({ norm_type: 'gn' }, narrow)).toThrow(/norm_type: expected bn, or gn over a trunk whose width/);
  expect(open({}, trunk).disc.keyDepths).toEqual([0, 1, 2, 3]);
});
