// Training steps of stage 1: the frozen encoder, latent noise, the decoder, L1 + LPIPS over SqueezeNet, AdamW, the average; with `disc` also
// the step of the adversarial phase, in which both players are trained.
// Beside bench/peers/stage1.py: random weights from the same seed, so that both compute the same loss.
import { discriminatorTerms } from '../../src/losses/gan.ts';
import { lpipsFromWeights } from '../../src/losses/lpips-weights.ts';
import { reconstructionLoss } from '../../src/losses/reconstruction.ts';
import { Decoder } from '../../src/models/decoder.ts';
import { Discriminator } from '../../src/models/discriminator.ts';
import { deit, Encoder } from '../../src/models/encoders/index.ts';
import { Rae } from '../../src/models/rae.ts';
import { SqueezeNet } from '../../src/models/squeezenet.ts';
import { skipInit } from '../../src/nn/index.ts';
import { AdamW, Ema, warmDecay } from '../../src/optim/index.ts';
import { autocast, backward, dispose, empty, Generator, keep, manualSeed, rand, tidy } from '../../src/tensor/index.ts';
import { generatorGradients, updateDiscriminator } from '../../src/train/adversarial.ts';
import type { Adversary } from '../../src/train/adversary.ts';
import { addLatentNoise, drawLatentNoise } from '../../src/train/latent-noise.ts';
import { configuration, serve } from './serve.ts';
import { drawWeights, startVectors } from './start.ts';

export interface Stage1Bench {
  size: number;
  batch: number;
  precision: 'fp32' | 'bf16';
  encoder: { width: number; depth: number; heads: number; patch: number };
  decoder: { width: number; depth: number; heads: number; hidden: number };
  /** A discriminator over another network of the encoder's sizes, for pictures of `side`. */
  disc?: { side: number; depths: number[]; kernel: number };
}

const c = configuration<Stage1Bench>();
const side = c.size / c.encoder.patch;

// ── models ──────────────────────────────────────────────
const { encoder, decoder } = skipInit(() => ({
  encoder: new Encoder(deit({ ...c.encoder, imageSize: c.size })),
  decoder: new Decoder({ ...c.decoder, channels: c.encoder.width, patch: c.encoder.patch, tokens: side * side }),
}));
const trunk = skipInit(() => new SqueezeNet());
const heads = trunk.channels.map((channels, i) => [`lin${i}.weight`, empty([1, channels, 1, 1])] as const);
manualSeed(0);
drawWeights(encoder.vit.namedParameters());
drawWeights(decoder.namedParameters());
drawWeights([...trunk.namedParameters(), ...heads]);
const rae = new Rae({ encoder, decoder, encoderInputSize: c.size, noiseTau: 0.4 }).train();
const lpips = lpipsFromWeights(new Map([...trunk.stateDict(), ...heads]));
dispose([trunk.parameters(), heads.map(([, head]) => head)]);
const images = keep(rand([c.batch, 3, c.size, c.size]));

// ── step ────────────────────────────────────────────────
const params = decoder.namedParameters();
const optimizer = new AdamW(params, { lr: 4e-4, betas: [0.9, 0.95] });
const ema = new Ema(decoder, { decay: warmDecay(0.995) });
const bf16 = c.precision === 'bf16';
const inPrecision = <T>(fn: () => T): T => autocast({ enabled: bf16 }, fn);
let updates = 0;
const updated = () => {
  optimizer.step();
  optimizer.zeroGrad();
  ema.update(updates++);
};

const works: Record<string, () => number> = {
  step: () =>
    tidy(() => {
      const { total } = inPrecision(() => reconstructionLoss(rae.train().forward(images), images, { lpips }));
      backward(total);
      updated();
      return total.item();
    }),
};

if (c.disc) {
  const { side, depths, kernel } = c.disc;
  const { trunk, disc } = skipInit(() => {
    const trunk = new Encoder(deit({ ...c.encoder, imageSize: side })).vit;
    return { trunk, disc: new Discriminator({ trunk, keyDepths: depths, kernel }) };
  });
  manualSeed(1);
  drawWeights(trunk.namedParameters());
  drawWeights(disc.namedParameters());
  startVectors(disc);
  const adversary: Adversary = {
    disc,
    params: disc.namedParameters(),
    optimizer: new AdamW(disc.namedParameters(), { lr: 2e-4, betas: [0.9, 0.95] }),
    lr: () => 2e-4,
    updates: 1,
    terms: discriminatorTerms.hinge,
    weight: 0.75,
    maxWeight: 1e4,
    augment: { prob: 1, cutout: 0 },
    generator: new Generator(1),
  };
  const batching = { batch: c.batch, micro: c.batch, bf16 };
  works.adversarial = () =>
    tidy(() => {
      const latents = inPrecision(() => rae.eval().encode(images));
      const noise = drawLatentNoise(rae, c.batch);
      let recon = 0;
      const { gan, lambda } = generatorGradients(
        adversary,
        {
          layer: decoder.decoder_pred.weight,
          reconstruct: () => inPrecision(() => rae.decode(addLatentNoise(latents, noise, 0))),
          reconstructionLoss: (made) => {
            const { total } = inPrecision(() => reconstructionLoss(made, images, { lpips }));
            recon = total.item();
            return total;
          },
        },
        batching,
      );
      updated();
      const pictures = { fake: () => inPrecision(() => rae.decode(latents)), real: () => images };
      const figures = updateDiscriminator(adversary, pictures, batching, { step: updates, since: updates });
      return recon + 0.75 * lambda * gan + figures['loss/disc']!;
    });
}

await serve(works, { parameters: decoder.numParameters() });
