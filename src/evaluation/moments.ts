// Moments and Frechet distances of features that arrive in parts.

import { FeatureMoments } from '../metrics/feature-moments.ts';
import { type FeatureStatistics, featureStatistics, frechetDistance } from '../metrics/frechet.ts';
import { dispose, type Tensor, tidy } from '../tensor/index.ts';
import type { Extractor } from './extractor.ts';
import type { PassResult } from './pass-result.ts';

/** Mean and covariance of features [n, D] that come one part after another; the parts are the caller's. */
export function momentsOf(parts: Iterable<Tensor>): FeatureStatistics {
  const moments = new FeatureMoments();
  try {
    for (const part of parts) moments.add(part);
    return moments.result();
  } finally {
    moments.dispose();
  }
}

const ROWS = 4096; // copied at a time: 32 MB of features of width 2048

/** Mean and covariance of some rows of features [N, D], numbered by `rows` [n], which may repeat. */
export function momentsOfRows(features: Tensor, rows: Tensor): FeatureStatistics {
  const n = rows.size(0);
  if (n <= features.size(1)) return tidy(() => featureStatistics(features.indexSelect(0, rows), { withFactor: true }));
  function* parts() {
    for (let start = 0; start < n; start += ROWS) {
      const part = features.indexSelect(0, rows.narrow(0, start, Math.min(ROWS, n - start)));
      yield part;
      part.dispose();
    }
  }
  return tidy(() => momentsOf(parts()));
}

/** Moments of what a pass found in a layer of `width`; the caller's. */
export async function momentsOfPass(
  pass: PassResult,
  layer: string,
  width: number,
): Promise<FeatureStatistics & { count: number }> {
  const { count } = pass;
  if (count < 2 || count > width) return gather(pass.features(layer));
  return tidy(() => ({ ...featureStatistics(pass.matrix(layer), { withFactor: true }), count }));
}

export interface StreamedDistance {
  /** FID, or FD-NAME for other features than Inception's. */
  name: string;
  value: number;
  /** Pictures of each set. */
  count: number;
  referenceCount: number;
}

/**
 * Frechet distance of two streams of features [n, D] that `extractor` made, in the order of their pictures; they are freed. A stream of
 * features that were computed at a fixed batch gives the same bits however it is cut up. The reference may be moments, which stay.
 */
export async function frechetOfStreams(
  { distance }: Pick<Extractor, 'distance'>,
  samples: AsyncIterable<Tensor> | Iterable<Tensor>,
  reference: AsyncIterable<Tensor> | Iterable<Tensor> | (FeatureStatistics & { count: number }),
): Promise<StreamedDistance> {
  const own = 'mean' in reference ? undefined : await gather(reference);
  const b = own ?? (reference as FeatureStatistics & { count: number });
  const a = await gather(samples);
  try {
    return { name: distance, value: frechetDistance(a, b), count: a.count, referenceCount: b.count };
  } finally {
    dispose([a, own]);
  }
}

/** Moments of a stream; its tensors are freed. What comes back is the caller's. */
export async function gather(
  stream: AsyncIterable<Tensor> | Iterable<Tensor>,
): Promise<FeatureStatistics & { count: number }> {
  const moments = new FeatureMoments();
  try {
    for await (const part of stream) {
      moments.add(part);
      part.dispose();
    }
    return { ...moments.result(), count: moments.count };
  } finally {
    moments.dispose();
  }
}
