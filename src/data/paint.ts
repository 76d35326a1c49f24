// Colours and textures of the embedded set. Colours are drawn in OKLCH (B. Ottosson, "A perceptual color space for image
// processing", 2020), where a difference of lightness looks the same for every hue, so that shapes stand out by design.
import type { Draws } from './random.ts';

/** sRGB, each in [0, 1]. */
export type Colour = readonly [number, number, number];

/** How much of the second colour a place shows, in [0, 1]. Coordinates and `pixel` (a pixel's side) in units of the picture's side. */
export type Texture = (x: number, y: number) => number;

export interface Palette {
  readonly ground: readonly [Colour, Colour];
  readonly shape: readonly [Colour, Colour];
  readonly outline: Colour;
}

/** Least difference of lightness between shape and background, before textures. */
const minContrast = 0.36;

/** Two related colours for the background, two for the shape. */
export function drawPalette(draws: Draws): Palette {
  const ground = draws.between(0.25, 0.95);
  const lighter = ground < 0.62;
  const shape = lighter ? draws.between(ground + minContrast, 0.97) : draws.between(0.28, ground - minContrast);
  const groundHue = draws.between(0, 360);
  const shapeHue = draws.between(0, 360);
  const groundChroma = draws.between(0.02, 0.12);
  const shapeChroma = draws.between(0.08, 0.22);
  const towardsGround = lighter ? -0.11 : 0.11;
  return {
    ground: [
      oklch(ground, groundChroma, groundHue),
      oklch(ground - 0.5 * towardsGround, groundChroma * 1.2, groundHue + draws.between(-35, 35)),
    ],
    shape: [
      oklch(shape, shapeChroma, shapeHue),
      oklch(shape + towardsGround, shapeChroma, shapeHue + draws.between(-45, 45)),
    ],
    outline: lighter ? oklch(0.99, 0.02, shapeHue) : oklch(0.12, 0.03, shapeHue),
  };
}

/** Flat, gradient, stripes or dots, at any angle. `period` is that of stripes and dots, in units of the picture's side. */
export function drawTexture(draws: Draws, pixel: number, period: number): Texture {
  const u = draws.next();
  const kind = u < 0.3 ? 'flat' : u < 0.6 ? 'gradient' : u < 0.8 ? 'stripes' : 'dots';
  const angle = draws.between(0, 2 * Math.PI);
  const phaseX = draws.next();
  const phaseY = draws.next();
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  if (kind === 'flat') return () => 0;
  // A texture of short period is for something small, so its gradient is steeper.
  if (kind === 'gradient') return (x, y) => clamp(0.5 + 0.8 * ((x - 0.5) * cos + (y - 0.5) * sin) * (0.25 / period));
  if (kind === 'stripes') {
    const frequency = (2 * Math.PI) / period;
    const edge = 1 / (frequency * pixel); // one pixel from one colour to the other
    return (x, y) => clamp(0.5 + edge * Math.cos((x * cos + y * sin) * frequency + 2 * Math.PI * phaseX));
  }
  const radius = 0.3 * period;
  return (x, y) => {
    const u = wrap((x * cos + y * sin) / period + phaseX) * period;
    const v = wrap((y * cos - x * sin) / period + phaseY) * period;
    return clamp(0.5 + (radius - Math.sqrt(u * u + v * v)) / pixel);
  };
}

/** Two or three soft spots of the second colour. */
export function drawBlobs(draws: Draws): Texture {
  const spots = Array.from({ length: 2 + draws.below(2) }, () => ({
    x: draws.next(),
    y: draws.next(),
    sharpness: 1 / draws.between(0.03, 0.12),
  }));
  return (x, y) => {
    let sum = 0;
    for (const spot of spots) sum += Math.exp(-((x - spot.x) ** 2 + (y - spot.y) ** 2) * spot.sharpness);
    return Math.min(1, sum);
  };
}

export function clamp(x: number): number {
  return Math.min(1, Math.max(0, x));
}

/** To [-0.5, 0.5). */
function wrap(x: number): number {
  return x - Math.floor(x + 0.5);
}

/** OKLCH to sRGB; the chroma is lowered until the colour exists. */
function oklch(lightness: number, chroma: number, hue: number): Colour {
  const l = Math.min(0.99, Math.max(0.08, lightness));
  const radians = (hue * Math.PI) / 180;
  for (let c = chroma; ; c -= 0.01) {
    const rgb = oklabToLinear(l, Math.max(0, c) * Math.cos(radians), Math.max(0, c) * Math.sin(radians));
    if (c <= 0 || rgb.every((v) => v >= 0 && v <= 1)) return [encode(rgb[0]), encode(rgb[1]), encode(rgb[2])];
  }
}

function oklabToLinear(l: number, a: number, b: number): Colour {
  const long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ];
}

function encode(linear: number): number {
  const v = clamp(linear);
  return v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055;
}
