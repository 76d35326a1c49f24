// Encoder and decoder of stage 1 in inference: pixels to tokens, tokens to patches. Beside bench/peers/vision.py.
import { Decoder } from '../../src/models/decoder.ts';
import { dinov2, Encoder } from '../../src/models/encoders/index.ts';
import { castProducts, skipInit } from '../../src/nn/index.ts';
import { autocast, keep, manualSeed, noGrad, randn, type Tensor, tidy } from '../../src/tensor/index.ts';
import { peak } from './peak.ts';
import { configuration, serve } from './serve.ts';
import { drawWeights } from './start.ts';

export interface VisionBench {
  batch: number;
  precision: 'fp32' | 'bf16';
  /** Pictures of `size` to tokens; `layerScale` as in DINOv2. */
  encoder?: {
    width: number;
    depth: number;
    heads: number;
    patch: number;
    size: number;
    registers: number;
    layerScale: boolean;
  };
  /** Or `tokens` of `channels` to patches. */
  decoder?: {
    channels: number;
    width: number;
    depth: number;
    heads: number;
    hidden: number;
    patch: number;
    tokens: number;
  };
}

const c = configuration<VisionBench>();
const { encoder: e, decoder: d } = c;
const network = skipInit(() => {
  if (d) return new Decoder(d);
  if (!e) throw new Error('bench vision: expected an encoder or a decoder');
  const { family, vit, ...rest } = dinov2({ ...e, imageSize: e.size });
  return new Encoder({ family, vit: { ...vit, layerScale: e.layerScale }, ...rest });
}).eval();
manualSeed(0);
drawWeights(('vit' in network ? network.vit : network).namedParameters());
if (c.precision === 'bf16') castProducts(network); // as `--precision bf16` does when it loads a model
const x = keep(randn(d ? [c.batch, d.tokens, d.channels] : [c.batch, 3, e!.size, e!.size]));

function forward(): number {
  return tidy(() => {
    const y: Tensor = noGrad(() => autocast({ enabled: c.precision === 'bf16' }, () => network.forward(x)));
    return y.to('f32').square().mean().item();
  });
}

await serve({ forward, peak: () => peak(c.precision) }, { parameters: network.numParameters() });
