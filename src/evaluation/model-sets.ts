// Pictures that a model makes when they are asked for: samples, and reconstructions of another set. Bytes are cut off, not rounded, as the
// reference's sampling and reconstruction scripts do (spec 13.2).

import { resolve } from 'node:path';
import { decodeLatents, encodePictures } from '../inference/batches.ts';
import { guidanceTerms } from '../inference/guidance-choice.ts';
import { loadWeaker } from '../inference/guide.ts';
import { labelsFor } from '../inference/labels.ts';
import { loadModel } from '../inference/load-model.ts';
import { modelParts } from '../inference/model-folder.ts';
import { toBytes, toPixels } from '../inference/pixels.ts';
import { samplePictures } from '../inference/sample.ts';
import { tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { fileChecksum } from './checksum.ts';
import type { PictureSet, ReconstructedSpec, SampledSpec } from './picture-set.ts';
import { stamp } from './stamp.ts';

/** Samples of a generator. A portion of `portion` pictures is held at once; they are the same whatever it is. */
export async function openSamples(
  spec: SampledSpec,
  { portion }: { portion?: number | undefined } = {},
): Promise<PictureSet> {
  const model = loadModel(spec.model, { ...spec, need: 'generator' });
  const { seed, sampler, precision, num } = spec;
  const { config } = model;
  const weaker = spec.guidance.auto && loadWeaker(model, config, spec);
  const guidance = guidanceTerms(spec.guidance, { ...model, guide: weaker?.velocity });
  const labelOf = labelsFor(config, spec.labels, { seed, num });
  const { model: name, kind: _, ...asked } = spec;
  const weights = weightsOf(spec, 'dit');
  return {
    spec,
    name: `${name} (samples)`,
    size: num,
    height: model.side,
    width: model.side,
    classes: model.classes,
    identity: JSON.stringify([spec, resolve(name), ...(weights ? stamp(weights) : [])]),
    details: {
      kind: 'samples',
      model: name,
      checkpoint: model.step,
      ...asked,
      weights: weights && { file: weights, checksum: fileChecksum(weights) },
      labels: Array.isArray(spec.labels) ? [...spec.labels] : spec.labels,
      bytes: 'truncated',
    },
    async read(start, count) {
      const parts: Uint8Array[] = [];
      const asking = { ...sampler, guidance, seed, precision, portion, first: start, num: count };
      for await (const { pixels } of samplePictures(model, labelOf, asking)) {
        parts.push(toBytes(pixels, { truncate: true }));
        pixels.dispose();
      }
      const indices = Array.from({ length: count }, (_, i) => start + i);
      return { indices, labels: indices.map(labelOf), images: Buffer.concat(parts), unreadable: [], resized: 0 };
    },
    describe: (index) => `sample ${index}`,
    close() {},
  };
}

/** Reconstructions of a set, beside their originals. */
export async function openReconstructions(spec: ReconstructedSpec, of: PictureSet): Promise<PictureSet> {
  const { rae, side, step } = loadModel(spec.model, { ...spec, need: 'rae' });
  if (of.height !== side || of.width !== side) {
    const size = `${of.height} x ${of.width}`;
    throw new ConfigError(expected('--reference', `pictures of ${side} x ${side}, as the model makes`, size));
  }
  const { model: name, precision } = spec;
  const weights = weightsOf(spec, 'decoder');
  return {
    spec,
    name: `${name} (reconstructions)`,
    size: of.size,
    height: side,
    width: side,
    classes: of.classes,
    identity: JSON.stringify([spec, resolve(name), ...(weights ? stamp(weights) : []), of.identity]),
    details: {
      kind: 'reconstructions',
      model: name,
      checkpoint: step,
      weights: weights && { file: weights, checksum: fileChecksum(weights) },
      precision,
      bytes: 'truncated',
    },
    async read(start, count) {
      const range = await of.read(start, count);
      const n = range.indices.length;
      const images = tidy(() => {
        if (n === 0) return new Uint8Array();
        const latents = encodePictures(rae, toPixels(range.images, [n, side, side]), { precision });
        return toBytes(decodeLatents(rae, latents, { precision }), { truncate: true });
      });
      return { ...range, images, originals: range.images };
    },
    describe: (index) => of.describe(index),
    close: () => of.close(),
  };
}

/** The file of weights that is evaluated. */
function weightsOf(
  { model, weights, raw }: SampledSpec | ReconstructedSpec,
  part: 'dit' | 'decoder',
): string | undefined {
  return weights ?? modelParts(model, { raw })[part];
}
