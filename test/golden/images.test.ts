// Area `images`: crops and resizes byte for byte as Pillow, decoding, interpolation with gradients, grids, byte conversion.

import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { expect } from 'vitest';
import {
  admSteps,
  centerCropStep,
  type Filter,
  type Picture,
  resample,
  resampleSync,
  resizedShortSide,
  type Step,
  stage1ShortSide,
} from '../../src/data/index.ts';
import { toBytes, toPixels } from '../../src/inference/pixels.ts';
import { type GridOptions, makeGrid, roundToBytes, toRgb, truncateToBytes } from '../../src/io/grid.ts';
import { decodeImage } from '../../src/io/image.ts';
import { call } from '../../src/tensor/call.ts';
import { grad, type Tensor, tensor, tidy, upsampleBicubic2d, upsampleBilinear2d } from '../../src/tensor/index.ts';
import { DataError } from '../../src/util/errors.ts';
import { expectClose, type Fixture, limitsFor, photo, runArea, skip } from './harness.ts';
import { hashBytes, hashTensor } from './hash.ts';

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

/** A stored picture [H, W, C] or [H, W]. */
function stored(fixture: Fixture, name: string): Picture & { channels: number } {
  const t = fixture.get(name);
  const [height, width, channels = 1] = t.shape as [number, number, number?];
  return { width, height, channels, data: t.toArray() as Uint8Array };
}

function expectBytes(actual: Uint8Array, expected: Uint8Array, label: string): void {
  expect(actual.length, `${label}: bytes`).toBe(expected.length);
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  if (at >= 0) expect.fail(`${label}: byte ${at} expected ${expected[at]}, received ${actual[at]}`);
}

function expectPicture(actual: Picture, fixture: Fixture, name: string): void {
  const expected = stored(fixture, name);
  expect([actual.width, actual.height], `${name}: size`).toEqual([expected.width, expected.height]);
  expectBytes(actual.data, expected.data, name);
}

/** Pictures given by a rule instead of bytes. */
function ruled(kind: string, name: string, width: number, height: number): Picture {
  const noise = kind === 'noise' ? hashBytes(name, width * height * 3) : undefined;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ramp = [(255 * x) / (width - 1), (255 * y) / (height - 1), (255 * (x + y)) / (height + width - 2)];
      for (let c = 0; c < 3; c++, i++) {
        if (noise) data[i] = noise[i]!;
        else if (kind === 'gradient') data[i] = (3 * x + 5 * y + 85 * c) % 256;
        else if (kind === 'checker') data[i] = (Math.floor(x / 3) + Math.floor(y / 2) + c) % 2 === 0 ? 255 : 0;
        else data[i] = Math.floor(ramp[c]!);
      }
    }
  }
  return { width, height, data };
}

interface AdmCase {
  case: number;
  photo?: string;
  kind?: string;
  hash_name?: string;
  width?: number;
  height?: number;
  image_size?: number;
  sizes_wh?: [number, number][];
  sha256_rgb?: string;
  sha256_source?: string;
  outputs?: { image_size: number; sizes_wh: [number, number][] }[];
}

async function admCrop(picture: Picture, side: number, sizes?: [number, number][]): Promise<Picture> {
  const steps = admSteps(picture.width, picture.height, side);
  if (sizes) {
    const visited = steps.flatMap((step) => ('resize' in step ? [step.resize] : []));
    expect([[picture.width, picture.height], ...visited]).toEqual(sizes);
  }
  return resample(picture, steps);
}

/** The interpolation of a fixture's case; `scales` maps coordinates by the given factors instead of by the sizes. */
function interpolate(x: Tensor, mode: string, size: number[], antialias: boolean, scales?: number[]): Tensor {
  if (scales) return call(`aten::upsample_${mode}2d`, [x, size, false, scales[0], scales[1]]);
  const resize = mode === 'bicubic' ? upsampleBicubic2d : upsampleBilinear2d;
  return resize(x, [size[0]!, size[1]!], { antialias });
}

runArea('images', {
  'adm-crop': async ({ config }, fixture) => {
    for (const one of config.cases as AdmCase[]) {
      if (one.outputs) {
        const source = stored(fixture, `inputs/${one.case}`);
        for (const { image_size, sizes_wh } of one.outputs)
          expectPicture(await admCrop(source, image_size, sizes_wh), fixture, `outputs/${one.case}/${image_size}`);
        continue;
      }
      let source: Picture;
      if (one.photo) {
        source = await decodeImage(photo(one.photo) ?? skip(`needs the photograph ${one.photo}`), { exif: false });
        expect(sha256(source.data), `${one.photo}: decoded bytes`).toBe(one.sha256_rgb);
      } else {
        source = ruled(one.kind!, one.hash_name!, one.width!, one.height!);
        expect(sha256(source.data), `case ${one.case}: the rule`).toBe(one.sha256_source);
      }
      expectPicture(await admCrop(source, one.image_size!, one.sizes_wh), fixture, `outputs/${one.case}`);
    }
  },

  'pil-resize': (_, fixture) => {
    // outputs/<case>/<FILTER>[/<width>x<height> | /before13 | /since13]; the order of Pillow 13 is not ours.
    for (const name of fixture.names().filter((n) => n.startsWith('outputs/') && !n.endsWith('/since13'))) {
      const [, index, filter] = name.split('/');
      const { width, height } = stored(fixture, name);
      const step: Step = { resize: [width, height], filter: filter!.toLowerCase() as Filter };
      expectPicture(resampleSync(stored(fixture, `inputs/${index}`), [step]), fixture, name);
    }
  },

  'stage1-transform': async ({ config }, fixture) => {
    const cases = config.cases as { case: number; image_size: number; crop_top: number; crop_left: number }[];
    for (const { case: index, image_size: side, crop_top, crop_left } of cases) {
      const source = stored(fixture, `${index}/inputs/image`);
      const resize: Step = {
        resize: resizedShortSide(source.width, source.height, stage1ShortSide(side)),
        filter: 'bicubic',
      };
      const crop: Step = { crop: [crop_left, crop_top, side, side] };
      expectPicture(await resample(source, [resize]), fixture, `${index}/outputs/resized`);
      const cropped = await resample(source, [resize, crop]);
      expectPicture(cropped, fixture, `${index}/outputs/cropped`);
      expectPicture(await resample(source, [resize, crop, { mirror: true }]), fixture, `${index}/outputs/flipped`);
      tidy(() => fixture.expectClose(`${index}/outputs/tensor`, toPixels(cropped.data, [1, side, side]).squeeze(0)));
    }
  },

  'center-crop': ({ config }, fixture) => {
    for (const { case: index, crop_hw } of config.cases as { case: number; crop_hw: [number, number] }[]) {
      const source = stored(fixture, `inputs/${index}`);
      const step = centerCropStep(source.width, source.height, crop_hw[1], crop_hw[0]);
      expectPicture(resampleSync(source, [step]), fixture, `outputs/${index}`);
    }
  },

  'to-tensor': (_, fixture) => {
    const bytes = fixture.get('inputs/bytes').toArray() as Uint8Array;
    const rgb = Uint8Array.from({ length: 768 }, (_, i) => bytes[Math.floor(i / 3)]!);
    tidy(() => fixture.expectClose('outputs/float', toPixels(rgb, [1, 1, 256]).select(1, 2).reshape([256])));
  },

  'torch-interpolate': ({ config }, fixture) => {
    interface Case {
      name: string;
      mode: string;
      antialias?: boolean;
      size?: number[];
      scale_factor?: number[];
      out_hw?: number[];
      grad_output_hash?: { name: string; center: number; scale: number };
    }
    for (const { name, mode, antialias, size, scale_factor, out_hw, grad_output_hash } of config.cases as Case[]) {
      tidy(() => {
        const x = fixture.get('inputs/x').clone();
        if (scale_factor) {
          fixture.expectClose(`outputs/size/${name}`, interpolate(x, mode, out_hw!, false));
          fixture.expectClose(`outputs/scale/${name}`, interpolate(x, mode, out_hw!, false, scale_factor));
          return;
        }
        x.setRequiresGrad();
        const y = interpolate(x, mode, size!, antialias ?? false);
        fixture.expectClose(`outputs/${name}`, y);
        if (!grad_output_hash) return;
        const gradient = hashTensor(grad_output_hash.name, [...y.shape], grad_output_hash);
        fixture.expectClose(`grads/${name}`, grad([y], [x], { gradOutputs: [gradient] })[0]!);
      });
    }
  },

  'rae-encode-resize': ({ config }, fixture) => {
    const {
      hash_name,
      in: side,
      out,
      outputs_rows,
    } = config as {
      hash_name: string;
      in: number;
      out: number;
      outputs_rows: number[];
    };
    const noise = hashBytes(hash_name, side * side * 3);
    const bytes = ruled('ramp', '', side, side).data.map((ramp, i) => Math.floor((noise[i]! + 3 * ramp) / 4));
    expect(sha256(bytes)).toBe(config.sha256_source_bytes_hwc);
    tidy(() => {
      const y = upsampleBicubic2d(toPixels(bytes, [1, side, side]), [out, out]);
      fixture.expectClose('outputs/y', y.slice(2, 0, out, 5).slice(3, 0, out, 5));
      fixture.expectClose('outputs/rows', y.indexSelect(2, tensor(BigInt64Array.from(outputs_rows, BigInt), {})));
      fixture.expectClose('outputs/minmax', tensor([y.min().item(), y.max().item()]));
      fixture.expectClose('outputs/sum', y.sum([2, 3], { dtype: 'f64' }));
    });
  },

  'jpeg-decode-photos': async ({ config }, fixture) => {
    const cases = config.cases as { case: number; photo: string; size_wh: [number, number]; sha256_rgb: string }[];
    for (const { case: index, photo: name, size_wh, sha256_rgb } of cases) {
      const picture = await decodeImage(photo(name) ?? skip(`needs the photograph ${name}`), { exif: false });
      expect([picture.width, picture.height]).toEqual(size_wh);
      expect(sha256(picture.data), name).toBe(sha256_rgb);
      const corner = await resample(picture, [{ crop: [0, 0, 64, 64] }]);
      expectPicture(corner, fixture, `outputs/${index}/top_left_64`);
    }
  },

  'image-files': async ({ config, dir }, fixture) => {
    for (const { file, expect: outcome } of config.cases as { file: string; expect: 'decodes' | 'refused' }[]) {
      const path = join(dir, file);
      const name = basename(file);
      if (outcome === 'refused') {
        const error = await decodeImage(path).catch((reason) => reason);
        expect(error, `${file} is refused`).toBeInstanceOf(DataError);
        expect(error.message).toContain(name);
        continue;
      }
      expectPicture(await decodeImage(path, { exif: false }), fixture, `outputs/${name}`);
      if (fixture.has(`outputs-transposed/${name}`))
        expectPicture(await decodeImage(path), fixture, `outputs-transposed/${name}`);
    }
  },

  grid: ({ config, tolerance }, fixture) => {
    interface Case {
      name: string;
      count: number;
      nrow?: number;
      padding?: number;
      pad_value?: number;
      normalize?: boolean;
      value_range?: [number, number];
      channels?: string;
    }
    for (const one of config.cases as Case[]) {
      const { name, count } = one;
      const options: GridOptions = {
        ...(one.nrow !== undefined && { nrow: one.nrow }),
        ...(one.padding !== undefined && { padding: one.padding }),
        ...(one.pad_value !== undefined && { padValue: one.pad_value }),
        ...(one.normalize && { valueRange: one.value_range ?? ('auto' as const) }),
      };
      const grid = tidy(() => {
        const all = fixture.get('inputs/x').narrow(0, 0, count);
        return makeGrid(one.channels ? all.narrow(1, 0, 1) : all, options);
      });
      expectPicture(toRgb(grid), fixture, `outputs/${name}/uint8`);
      if (!fixture.has(`outputs/${name}/grid`)) continue;
      const expected = fixture.get(`outputs/${name}/grid`);
      const limits = name === 'auto' ? 1e-6 : limitsFor(tolerance, 'grid').exact ? 0 : 1e-6;
      expect([3, grid.height, grid.width]).toEqual(expected.shape);
      (expected.toArray() as Float32Array).forEach((value, i) => {
        if (!(Math.abs(value - grid.data[i]!) <= limits)) expect.fail(`${name}: [${i}] ${grid.data[i]} for ${value}`);
      });
    }
  },

  'uint8-conversion': ({ tolerance }, fixture) => {
    const x = fixture.get('inputs/x');
    const floats = x.toArray() as Float32Array;
    const rounded = fixture.get('outputs/save_image').toArray() as Uint8Array;
    const truncated = fixture.get('outputs/clamp_mul_truncate').toArray() as Uint8Array;
    expectBytes(roundToBytes(floats), rounded, 'roundToBytes');
    expectBytes(truncateToBytes(floats), truncated, 'truncateToBytes');
    tidy(() => {
      const pictures = x.reshape([1, 1, 1, x.numel]).expand([1, 3, 1, x.numel]);
      const first = (bytes: Uint8Array) => bytes.filter((_, i) => i % 3 === 0);
      expectBytes(first(toBytes(pictures)), rounded, 'toBytes');
      expectBytes(first(toBytes(pictures, { truncate: true })), truncated, 'toBytes truncating');
      // The discriminator's quantisation (spec 6.4): half to even, on [-1, 1].
      const quantised = x.mul(2).sub(1).clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1);
      const limits = limitsFor(tolerance, 'pm1_roundtrip');
      expectClose(quantised, fixture.get('outputs/pm1_roundtrip'), limits, 'quantisation');
    });
  },
});
