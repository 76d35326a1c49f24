// Reference statistics as ADM's evaluator has them: an npz with mu [D] and sigma [D, D] of the pooled features, mu_s and sigma_s of the
// spatial ones, and arr_0, some pictures themselves (uint8 [N, H, W, 3]), for precision and recall. Ours also hold `info`, JSON as bytes
// (json.loads(bytes(file['info']))), which other tools pass over: the extractor, its checksum, how the pictures were cropped.

import type { NpyArray } from '../io/npy.ts';
import { loadNpz, type NpyStream, saveNpz } from '../io/npz.ts';
import { npzKeys } from '../io/npz-stream.ts';
import type { FeatureStatistics } from '../metrics/frechet.ts';
import { type Tensor, tensor, tidy } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError, DataError } from '../util/errors.ts';
import type { Extractor } from './extractor.ts';
import type { ExtractorFile } from './load-extractor.ts';

export interface ReferenceInfo {
  extractor: { name: string; checksum: string; layer: string };
  /** Pictures that the moments are of. */
  count: number;
  resize: string;
  precision: string;
  set: Readonly<Record<string, unknown>>;
  /** SHA-256 of the pictures' pixels. */
  digest: string;
}

export interface ReferenceFile {
  path: string;
  moments: FeatureStatistics;
  spatial: FeatureStatistics | undefined;
  /** Whether the pictures themselves are there. */
  hasPictures: boolean;
  /** What the file says of itself; undefined for one from elsewhere. */
  info: ReferenceInfo | undefined;
}

/** Whether a file holds moments. */
export function isReferenceFile(path: string): boolean {
  return /\.npz$/i.test(path) && npzKeys(path).includes('mu');
}

/** Reads the moments; the caller frees them. DataError unless each mean and covariance fit together and are finite. */
export function loadReference(path: string): ReferenceFile {
  const keys = npzKeys(path);
  const arrays = loadNpz(path, ['mu', 'sigma', 'mu_s', 'sigma_s', 'info']);
  const info = arrays.get('info');
  return {
    path,
    moments: momentsOf(path, arrays, 'mu', 'sigma'),
    spatial: arrays.has('mu_s') ? momentsOf(path, arrays, 'mu_s', 'sigma_s') : undefined,
    hasPictures: keys.includes('arr_0'),
    info: info === undefined ? undefined : parseInfo(path, info),
  };
}

function momentsOf(path: string, arrays: ReadonlyMap<string, NpyArray>, mu: string, sigma: string): FeatureStatistics {
  const [m, s] = [arrays.get(mu), arrays.get(sigma)];
  const D = m?.shape.length === 1 ? m.shape[0]! : -1;
  const floats = [m, s].every((array) => array?.dtype === 'f32' || array?.dtype === 'f64');
  if (!floats || `${s!.shape}` !== `${[D, D]}`) {
    const received = [m, s].map((array) => (array ? `${array.dtype} [${array.shape.join(', ')}]` : 'nothing'));
    throw new DataError(expected(path, `floats ${mu} [D] and ${sigma} [D, D]`, received));
  }
  return tidy(() => {
    const [mean, covariance] = [m!, s!].map(({ data, shape }) => tensor(data as Float64Array, { shape, dtype: 'f64' }));
    for (const [key, x] of [
      [mu, mean!],
      [sigma, covariance!],
    ] as const) {
      if (!x.isfinite().all().item())
        throw new DataError(expected(`${path}: ${key}`, 'finite numbers', 'NaN or infinity'));
    }
    return { mean: mean!, covariance: covariance! };
  });
}

function parseInfo(path: string, { data }: NpyArray): ReferenceInfo | undefined {
  try {
    const found = JSON.parse(new TextDecoder().decode(data as Uint8Array)) as Partial<ReferenceInfo>;
    return typeof found.extractor?.checksum === 'string' ? (found as ReferenceInfo) : undefined;
  } catch (cause) {
    throw new DataError(`${path}: info: expected JSON, received something else.`, { cause });
  }
}

/**
 * Refuses a reference of other features than the extractor gives: ConfigError for another width in any case, for other weights or another
 * layer unless `force`. Returns what is to be said about it all the same.
 */
export function checkReference(
  { path, moments, spatial, info }: ReferenceFile,
  extractor: Extractor & ExtractorFile,
  layer: string,
  { force }: { force: boolean },
): string[] {
  const widths = [
    [layer, moments] as const,
    ...(spatial && extractor.spatial ? [[extractor.spatial, spatial] as const] : []),
  ];
  for (const [name, { mean }] of widths) {
    const wanted = extractor.layers[name]!;
    if (mean.numel === wanted) continue;
    const what = `moments of ${wanted} features, as ${extractor.name} gives in its layer ${name}`;
    throw new ConfigError(
      expected(path, what, mean.numel, 'Make the reference with the same extractor: rae eval stats.'),
    );
  }
  if (info === undefined)
    return [`${path} does not say which extractor made it: ${extractor.name} is taken for granted.`];
  const made = info.extractor;
  const differs =
    made.checksum !== extractor.checksum
      ? `${made.name} with weights ${made.checksum.slice(0, 12)}`
      : made.layer !== layer
        ? `layer ${made.layer}`
        : info.resize !== extractor.resize
          ? `pictures resized ${info.resize}`
          : undefined;
  if (differs === undefined) return [];
  const what = `a reference made with ${extractor.name}, weights ${extractor.checksum.slice(0, 12)}, layer ${layer}, resized ${extractor.resize}`;
  if (!force) throw new ConfigError(expected(path, what, differs, 'Make it anew with rae eval stats, or say --force.'));
  return [
    `${path} was made with ${differs}, the samples with ${extractor.name} ${extractor.checksum.slice(0, 12)}, layer ${layer}.`,
  ];
}

export interface ReferenceContent {
  moments: FeatureStatistics;
  spatial?: FeatureStatistics | undefined;
  pictures?: NpyStream | undefined;
  info: ReferenceInfo;
}

/** Writes a reference: mu in float32 and sigma in float64, as NumPy's mean and cov of float32 features give them. */
export function saveReference(path: string, { moments, spatial, pictures, info }: ReferenceContent): void {
  const arrays = new Map<string, NpyArray | NpyStream>();
  for (const [suffix, of] of [
    ['', moments],
    ['_s', spatial],
  ] as const) {
    if (of === undefined) continue;
    arrays.set(`mu${suffix}`, asArray(of.mean, 'f32'));
    arrays.set(`sigma${suffix}`, asArray(of.covariance, 'f64'));
  }
  const text = new TextEncoder().encode(JSON.stringify(info));
  arrays.set('info', { dtype: 'u8', shape: [text.length], data: text });
  if (pictures) arrays.set('arr_0', pictures);
  saveNpz(path, arrays);
}

function asArray(x: Tensor, dtype: 'f32' | 'f64'): NpyArray {
  return { dtype, shape: x.shape, data: tidy(() => x.to(dtype).contiguous().toArray()) as Float64Array };
}
