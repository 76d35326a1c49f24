// A training step of stage 1: the frozen encoder, latent noise, the decoder, L1 + LPIPS over SqueezeNet, AdamW, the average.
// Beside bench/peers/stage1.py: random weights from the same seed, so that both compute the same loss.
import { lpipsFromWeights } from '../../src/losses/lpips-weights.ts';
import { reconstructionLoss } from '../../src/losses/reconstruction.ts';
import { Decoder } from '../../src/models/decoder.ts';
import { deit, Encoder } from '../../src/models/encoders/index.ts';
import { Rae } from '../../src/models/rae.ts';
import { SqueezeNet } from '../../src/models/squeezenet.ts';
import { skipInit } from '../../src/nn/index.ts';
import { AdamW, Ema, warmDecay } from '../../src/optim/index.ts';
import { autocast, backward, dispose, empty, keep, manualSeed, rand, tidy } from '../../src/tensor/index.ts';
import { configuration, serve } from './serve.ts';
import { drawWeights } from './start.ts';

export interface Stage1Bench {
  size: number;
  batch: number;
  precision: 'fp32' | 'bf16';
  encoder: { width: number; depth: number; heads: number; patch: number };
  decoder: { width: number; depth: number; heads: number; hidden: number };
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
const optimizer = new AdamW(decoder.namedParameters(), { lr: 4e-4, betas: [0.9, 0.95] });
const ema = new Ema(decoder, { decay: warmDecay(0.995) });
const mode = { dtype: 'bf16', enabled: c.precision === 'bf16' } as const;
let updates = 0;

await serve(
  {
    step: () =>
      tidy(() => {
        optimizer.zeroGrad();
        const { total } = autocast(mode, () => reconstructionLoss(rae.forward(images), images, { lpips }));
        backward(total);
        optimizer.step();
        ema.update(updates++);
        return total.item();
      }),
  },
  { parameters: decoder.numParameters() },
);
