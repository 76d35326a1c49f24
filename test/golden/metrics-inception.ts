// Golden checks of area `metrics` that need Inception: its keys, its activations with hash weights, and a whole rFID run.

import { expect } from 'vitest';
import { frechetDistanceOfFeatures } from '../../src/metrics/frechet.ts';
import { psnr } from '../../src/metrics/psnr.ts';
import { ssim } from '../../src/metrics/ssim.ts';
import { Inception, resizeLikeTensorFlow1 } from '../../src/models/inception.ts';
import { skipInit } from '../../src/nn/index.ts';
import { type Tensor, tidy, zeros } from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Kinds, type Limits } from './harness.ts';
import { hashTensor } from './hash.ts';

export const inceptionKinds: Kinds = { 'inception-keys': inceptionKeys, inception, 'rfid-pipeline': rfid };

/** The limits under this key of an entry's tolerance. */
export function limits(entry: Entry, key: string): Limits {
  const found = (entry.tolerance as Record<string, Limits | number>)[key];
  return typeof found === 'number' ? { atol: found } : (found ?? {});
}

interface HashedKey {
  key: string;
  shape: number[];
  center?: number;
  scale?: number;
}

/** The state dict of a keys file (`inception-keys.json`), its tensors by hash; i64 counters are 0. */
function hashedState(fixture: Fixture): Map<string, Tensor> {
  const { tensors } = fixture.json<{ tensors: HashedKey[] }>();
  return new Map(
    tensors.map(({ key, shape, ...how }) => [
      key,
      how.scale === undefined ? zeros(shape, { dtype: 'i64' }) : hashTensor(key, shape, how),
    ]),
  );
}

/** Inception with the hash weights that the area's keys file describes. */
function hashedInception(fixture: Fixture): Inception {
  const keys = fixture.sibling('inception-keys');
  return tidy(() => {
    const model = skipInit(() => new Inception());
    model.loadStateDict(hashedState(keys));
    return model;
  });
}

function inceptionKeys(entry: Entry, fixture: Fixture): void {
  const model = skipInit(() => new Inception());
  const ours = [...model.stateDict()].map(([key, { shape }]) => [key, [...shape]]);
  expect(ours).toEqual(fixture.json<{ tensors: HashedKey[] }>().tensors.map(({ key, shape }) => [key, shape]));
  expect(ours.length).toBe(entry.config.count);
  const numbers = [...model.stateDict().values()].filter((t) => t.dtype === 'f32').reduce((sum, t) => sum + t.numel, 0);
  expect(numbers).toBe(entry.config.parameters); // with the running statistics
  model.dispose();
}

function inception(entry: Entry, fixture: Fixture): void {
  const model = hashedInception(fixture);
  for (const { name } of entry.config.images as { name: string }[]) {
    tidy(() => {
      const out = (what: string) => fixture.get(`${name}/outputs/${what}`);
      const check = (what: string, actual: Tensor, key: string) =>
        expectClose(actual, out(what), limits(entry, key), `${name} ${what}`);
      const images = fixture.get(`${name}/inputs/images`).permute([0, 3, 1, 2]);
      const resized = resizeLikeTensorFlow1(images.to('f32'), 299);
      const strided = resized.slice(2, 0, undefined, 23).slice(3, 0, undefined, 19);
      check('resized_slice', strided, 'resized');
      check('resized_last_row', resized.select(2, 298), 'resized');
      expectClose(resized.to('f64').sum([2, 3]), out('resized_sum'), { rtol: 1e-6 }, `${name} resized_sum`);
      const features = model.forward(images, {
        onBlock: (block, x) => {
          if (!fixture.has(`${name}/outputs/tap_mean/${block}`)) return;
          check(`tap_mean/${block}`, x.mean([2, 3]), 'features');
          check(`tap_corner/${block}`, x.narrow(1, 0, 8).narrow(2, 0, 3).narrow(3, 0, 3), 'features');
        },
      });
      for (const width of [64, 192, 768, 2048] as const) check(String(width), features[width], 'features');
      check('sfid_spatial', features.spatial, 'features');
      check('logits', model.logits(features[2048]), 'logits');
      check('logits_unbiased', model.logits(features[2048], { bias: false }), 'logits');
    });
  }
  model.dispose();
}

function rfid(entry: Entry, fixture: Fixture): void {
  const config = entry.config as Record<string, number>;
  const model = hashedInception(fixture);
  tidy(() => {
    const pictures = (['reference', 'reconstruction'] as const).map((which) =>
      fixture.get(`inputs/${which}`).permute([0, 3, 1, 2]),
    ) as [Tensor, Tensor];
    const features = pictures.map((x) => model.forward(x)[2048]) as [Tensor, Tensor];
    for (const [i, which] of (['reference', 'reconstruction'] as const).entries()) {
      const first = fixture.get(`outputs/features_${which}_first64`);
      expectClose(features[i]!.narrow(1, 0, 64), first, { rtol: 1e-4, atol: 2e-4 }, `${which} features`);
      const mean = fixture.get(`outputs/mean_${which}`);
      expectClose(features[i]!.mean(0), mean, { rtol: 1e-4, atol: 2e-4 }, `${which} mean`);
    }
    const distance = frechetDistanceOfFeatures(...features);
    expectClose(distance, config.rfid_exact_gram!, limits(entry, 'rfid_exact_gram'), 'rFID');
    expectClose(distance, config.rfid_torch_fidelity!, limits(entry, 'rfid'), 'rFID of torch-fidelity');
    const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expectClose(average(psnr(...pictures)), config.psnr!, limits(entry, 'psnr'), 'psnr');
    expectClose(average(ssim(...pictures)), config.ssim!, limits(entry, 'ssim'), 'ssim');
  });
  model.dispose();
}
