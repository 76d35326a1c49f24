// From the description of a set to the set.

import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { openFiles } from './files-set.ts';
import { openReconstructions, openSamples } from './model-sets.ts';
import { openArchive } from './npz-set.ts';
import type { PairsSpec, PictureSet, SetSpec, StoredSpec } from './picture-set.ts';

/** Opens a set. `portion`: how many pictures a model holds at once. */
export async function openSet(spec: SetSpec, options: { portion?: number | undefined } = {}): Promise<PictureSet> {
  if (spec.kind === 'samples') return openSamples(spec, options);
  if (spec.kind === 'reconstructions') return openReconstructions(spec, await openStored(spec.of));
  if (spec.kind === 'pairs') return openPairs(spec);
  return openStored(spec);
}

function openStored(spec: StoredSpec): Promise<PictureSet> {
  return spec.kind === 'files' ? openFiles(spec) : openArchive(spec);
}

/** Two stored sets side by side: a picture that either cannot read is left out. ConfigError unless they agree in number and size. */
async function openPairs(spec: PairsSpec): Promise<PictureSet> {
  const [pictures, originals] = [await openStored(spec.pictures), await openStored(spec.originals)];
  const shape = (set: PictureSet) => `${set.size} pictures of ${set.height} x ${set.width}`;
  if (shape(pictures) !== shape(originals)) {
    const next = 'psnr, ssim and lpips compare picture by picture, in the order of the names.';
    throw new ConfigError(expected('--samples', `${shape(originals)}, as the reference`, shape(pictures), next));
  }
  const bytes = pictures.height * pictures.width * 3;
  return {
    ...pictures,
    spec,
    identity: JSON.stringify([pictures.identity, originals.identity]),
    async read(start, count) {
      const [a, b] = await Promise.all([pictures.read(start, count), originals.read(start, count)]);
      const both = a.indices.filter((index) => b.indices.includes(index));
      const some = ({ indices, images }: typeof a) =>
        both.length === indices.length
          ? images
          : Buffer.concat(
              both.map((i) => images.subarray(indices.indexOf(i) * bytes, (indices.indexOf(i) + 1) * bytes)),
            );
      return {
        indices: both,
        images: some(a),
        originals: some(b),
        ...(a.labels && { labels: both.map((index) => a.labels![a.indices.indexOf(index)]!) }),
        unreadable: [...a.unreadable, ...b.unreadable],
        resized: a.resized,
      };
    },
    close() {
      pictures.close();
      originals.close();
    },
  };
}
