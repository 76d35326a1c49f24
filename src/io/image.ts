// Picture files to RGB bytes and back, through sharp (libvips, off the main thread). Byte for byte what Pillow's
// Image.open(f).convert('RGB') gives: alpha dropped without compositing, colour profiles ignored, palettes expanded,
// 16-bit RGB cut to its top byte, 16-bit grey clipped at 255, CMYK by the plain formula (sharp's own rules differ).

import { readFile } from 'node:fs/promises';
import type { Sharp, SharpOptions } from 'sharp';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { DataError } from '../util/errors.ts';
import { decodeBmp, isBmp } from './bmp.ts';
import { unreadable } from './file-reader.ts';
import type { RgbImage } from './rgb-image.ts';

export type { RgbImage } from './rgb-image.ts';

export const MAX_PIXELS = 178_956_970; // where Pillow raises DecompressionBombError
const FORMATS = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif', 'jp2k'] as const; // no SVG, no PDF: those are programs

export interface DecodeOptions {
  /** Turn the picture as its EXIF orientation says (default); false ignores it, as the reference does. */
  exif?: boolean;
  /** Named in errors; default: the path. */
  name?: string;
}

/** Decode a file, or its bytes. DataError names the file for anything unreadable, damaged, cut off or too large. */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<RgbImage> {
  const { exif = true, name = typeof source === 'string' ? source : 'image' } = options;
  const bytes = typeof source === 'string' ? await readBytes(source) : source;
  if (bytes.length === 0) throw new DataError(`${name}: expected a picture, received an empty file.`);
  if (isBmp(bytes)) return decodeBmp(bytes, { name, maxPixels: MAX_PIXELS });
  try {
    return await decode(bytes, { exif, name });
  } catch (error) {
    if (error instanceof DataError) throw error;
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new DataError(`${name}: not a readable picture (${reason}).`, { cause: error });
  }
}

/** PNG bytes of an RGB image. */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 6 })
    .toBuffer();
}

/** A drawing of our own making as PNG bytes, `scale` pixels for one of its units. SVG from elsewhere is not decoded: it is a program. */
export async function svgToPng(svg: string, { scale = 1 }: { scale?: number } = {}): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(Buffer.from(svg), { density: 72 * scale })
    .png({ compressionLevel: 9 })
    .toBuffer();
}

/** Write a PNG file, complete or not at all. */
export async function savePng(path: string, image: RgbImage): Promise<void> {
  writeFileAtomic(path, await encodePng(image));
}

async function decode(bytes: Uint8Array, { exif, name }: { exif: boolean; name: string }): Promise<RgbImage> {
  const sharp = await loadSharp();
  const options: SharpOptions = {
    autoOrient: exif,
    failOn: 'error', // cut-off and damaged files fail; harmless warnings, which Pillow ignores too, do not
    ignoreIcc: true,
    limitInputPixels: MAX_PIXELS,
  };
  const picture = sharp(bytes, options);
  const plain = isPlainJpeg(bytes); // as nearly all are: read once, where asking for metadata would take an eighth more time
  const { format, space } = plain ? { format: 'jpeg', space: 'srgb' } : await picture.metadata();
  if (!FORMATS.some((known) => known === format)) {
    throw new DataError(`${name}: expected one of ${FORMATS.join(', ')}, bmp, received ${format}.`);
  }
  if (space === 'cmyk') return fromCmyk(await raw(picture.pipelineColourspace('cmyk').toColourspace('cmyk').raw()));
  if (space === 'grey16')
    return fromGrey16(await raw(picture.removeAlpha().toColourspace('grey16').raw({ depth: 'ushort' })));
  const { data, width, height, channels } = await raw(picture.removeAlpha().raw());
  if (channels === 3) return { width, height, data };
  if (channels === 1) return { width, height, data: spread(data, (value) => value) };
  throw new DataError(`${name}: expected 1 or 3 colour channels, received ${channels}.`);
}

/** Whether the bytes begin as a JPEG of 8 bits in grey or three colours; what comes later may still be damaged. */
function isPlainJpeg(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return false;
  for (let at = 2; bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return bytes[at + 4] === 8 && (bytes[at + 9] === 1 || bytes[at + 9] === 3); // precision, components
    at += 2 + bytes[at + 2]! * 256 + bytes[at + 3]!;
  }
  return false;
}

interface RawPixels {
  data: Uint8Array;
  width: number;
  height: number;
  channels: number;
}

async function raw(picture: Sharp): Promise<RawPixels> {
  const { data, info } = await picture.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

function fromGrey16({ data, width, height, channels }: RawPixels): RgbImage {
  const words = new Uint16Array(data.slice().buffer); // a copy, since the bytes may lie at an odd address
  const first = channels === 1 ? words : words.filter((_, i) => i % channels === 0);
  return { width, height, data: spread(first, (value) => Math.min(value, 255)) };
}

/** Pillow's formula: (255 - K) * (255 - C) / 255 by its rounded division. */
function fromCmyk({ data, width, height }: RawPixels): RgbImage {
  const out = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const light = 255 - data[4 * i + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const product = data[4 * i + channel]! * light + 128;
      out[3 * i + channel] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return { width, height, data: out };
}

function spread(grey: ArrayLike<number>, map: (value: number) => number): Uint8Array {
  const out = new Uint8Array(grey.length * 3);
  for (let i = 0; i < grey.length; i++) out.fill(map(grey[i]!), 3 * i, 3 * i + 3);
  return out;
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    // The process ran out of something: not this picture's fault, and no reason to go on without it.
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM') throw error;
    throw unreadable(path, error);
  }
}

let loaded: Promise<typeof import('sharp')> | undefined;

/** sharp takes 50 ms to load, so verbs without pictures do without. */
async function loadSharp(): Promise<typeof import('sharp').default> {
  loaded ??= import('sharp').then((module) => {
    module.default.cache(false); // its cache of decoded files would serve stale pictures and hold memory
    module.default.concurrency(1); // many pictures at once beat many threads on one small picture
    return module;
  });
  return (await loaded).default;
}
