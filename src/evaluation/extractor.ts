// Networks that turn pictures into features, all behind one interface: FID's Inception, any encoder, SqueezeNet.
// Only Inception's Frechet distance is called FID; another extractor's bears its name. A network sees pictures at a fixed batch, at the
// place that their index gives them (block.ts), since kernels round differently for other sizes.

import type { Encoder } from '../models/encoders/index.ts';
import type { Inception } from '../models/inception.ts';
import type { SqueezeNet } from '../models/squeezenet.ts';
import { noGrad, type Tensor, tensor, tidy, upsampleBicubic2d } from '../tensor/index.ts';

export interface Extractor {
  /** The network, as results name it: `inception-v3-compat`, `dinov2_vitb14`. */
  readonly name: string;
  /** What the Frechet distance of its features is called: `FID`, `FD-DINOv2`. */
  readonly distance: string;
  /** How pictures are brought to the network's size, in words. */
  readonly resize: string;
  /** Width of each feature that can be asked for, by its name. */
  readonly layers: Readonly<Record<string, number>>;
  /** The layer that is meant where none is named. */
  readonly pooled: string;
  /** The layer that sFID compares. */
  readonly spatial?: string;
  /** Pictures that the network sees at once: a power of two up to 32. */
  readonly batch: number;
  /** Bytes [B, 3, H, W] -> float32 features [B, layers[name]] of each layer in `wanted`, without gradient. */
  extract(images: Tensor, wanted: readonly string[]): Map<string, Tensor>;
  /** Class scores of pooled features [N, D]; the Inception Score of ADM leaves the bias out. */
  logits?(features: Tensor, options: { bias: boolean }): Tensor;
  dispose(): void;
}

/** FID's Inception v3 with its TensorFlow 1 resize; `spatial` is what sFID compares. */
export function inceptionExtractor(model: Inception): Extractor {
  return {
    name: 'inception-v3-compat',
    distance: 'FID',
    resize: 'bilinear as TensorFlow 1, to 299 x 299',
    layers: { 64: 64, 192: 192, 768: 768, 2048: 2048, spatial: 2023, logits: 1008 },
    pooled: '2048',
    spatial: 'spatial',
    batch: 8, // measured, one thread: 119, 107, 101 ms a picture at 4, 8, 16; 8 takes half of 16's memory
    extract: (images, wanted) =>
      noGrad(() =>
        tidy(() => {
          const features = model.forward(images);
          const of = (name: string) =>
            name === 'logits' ? model.logits(features[2048]) : features[name as keyof typeof features];
          return new Map(wanted.map((name) => [name, of(name)]));
        }),
      ),
    logits: (features, options) => noGrad(() => model.logits(features.to('f32'), options)),
    dispose: () => model.dispose(),
  };
}

/** How the published names of ViT sizes go. */
const SIZES: Readonly<Record<number, [letter: string, word: string]>> = {
  192: ['t', 'tiny'],
  384: ['s', 'small'],
  768: ['b', 'base'],
  1024: ['l', 'large'],
  1536: ['g', 'giant'],
};

/** Any encoder: `mean` of its patch tokens, and its class token, `cls`, where it has one. `side`: of the pictures it sees; as it was trained when left out. */
export function encoderExtractor(
  encoder: Encoder,
  { side = encoder.spec.vit.grid[0] * encoder.spec.vit.patch }: { side?: number | undefined } = {},
): Extractor {
  const { family, vit, mean, std } = encoder.spec;
  const [letter, word] = SIZES[vit.width] ?? [`${vit.width}`, `${vit.width}`];
  const name = family === 'dinov2' ? `dinov2_vit${letter}${vit.patch}` : `${family}_${word}`;
  const hasClass = encoder.vit.prefix > (vit.registers ?? 0);
  return {
    name,
    distance: family === 'dinov2' ? 'FD-DINOv2' : `FD-${name}`,
    resize: resizing(side),
    layers: { mean: vit.width, ...(hasClass && { cls: vit.width }) },
    pooled: 'mean',
    batch: 2 ** Math.min(5, Math.max(0, Math.floor(Math.log2(512 / (side / vit.patch) ** 2)))),
    extract: (images, wanted) =>
      noGrad(() =>
        tidy(() => {
          const x = normalised(images, { side, mean, std });
          const of = (layer: string) =>
            layer === 'cls' ? encoder.vit.forward(x).select(1, 0) : encoder.forward(x).mean([1]);
          return new Map(wanted.map((layer) => [layer, of(layer).to('f32').contiguous()]));
        }),
      ),
    dispose: () => encoder.dispose(),
  };
}

const SQUEEZE_SIDE = 224;

/** SqueezeNet 1.1: its last activation, averaged over positions. Small, and weak as a judge. */
export function squeezeExtractor(trunk: SqueezeNet): Extractor {
  const pixels = { side: SQUEEZE_SIDE, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  return {
    name: 'squeezenet1_1',
    distance: 'FD-squeezenet1_1',
    resize: resizing(SQUEEZE_SIDE),
    layers: { 512: 512 },
    pooled: '512',
    batch: 8,
    extract: (images, wanted) =>
      noGrad(() =>
        tidy(() => {
          const last = trunk.forward(normalised(images, pixels)).at(-1)!; // [B, 512, 13, 13]
          return new Map(wanted.map((name) => [name, last.mean([2, 3])]));
        }),
      ),
    dispose: () => trunk.dispose(),
  };
}

function resizing(side: number): string {
  return `bicubic with antialias, to ${side} x ${side}`;
}

/** Bytes [B, 3, H, W] as the network was trained on them: [0, 1], at its side, standardised. */
function normalised(
  images: Tensor,
  { side, mean, std }: { side: number; mean: readonly number[]; std: readonly number[] },
): Tensor {
  return tidy(() => {
    const [, , H, W] = images.dims(4);
    const channels = (values: readonly number[]) => tensor([...values], { shape: [3, 1, 1] });
    const pixels = images.to('f32').div(255);
    const sized =
      H === side && W === side
        ? pixels
        : upsampleBicubic2d(pixels, [side, side], { alignCorners: false, antialias: true }).clamp(0, 1);
    return sized.sub(channels(mean)).div(channels(std));
  });
}
