// rae eval stats: a reference file from pictures, as ADM's evaluator reads it: mu, sigma, and for Inception mu_s and sigma_s, with some of the
// pictures (arr_0) for precision and recall. What made it goes in too, under `info`.

import type { Command } from 'commander';
import { spreadIndices } from '../data/index.ts';
import { pictureWarnings, rankWarnings } from '../evaluation/checks.ts';
import { fileChecksum } from '../evaluation/checksum.ts';
import { loadExtractor } from '../evaluation/load-extractor.ts';
import { gather } from '../evaluation/moments.ts';
import { openSet } from '../evaluation/open-set.ts';
import { runPass } from '../evaluation/pass.ts';
import { saveReference } from '../evaluation/reference.ts';
import { Spool } from '../inference/spool.ts';
import { dispose } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { count, duration } from '../util/format.ts';
import { log } from '../util/log.ts';
import { partialFolder, sideOf, storedSpec } from './eval-inputs.ts';
import { type ReadingOptions, withReadingOptions } from './eval-options.ts';
import { short } from './eval-report.ts';
import { progress } from './eval-run.ts';
import { beginVerb } from './model-options.ts';
import { integerOption, printResult, verb } from './shared.ts';

interface StatsOptions extends ReadingOptions {
  input: string;
  out: string;
  pictures: number;
}

export function statsCommand(): Command {
  const example = 'rae eval stats --input photos --size 256 --extractor pt_inception.pth --out photos-256.npz';
  return withReadingOptions(
    verb('stats', 'a reference file from pictures: mu, sigma, mu_s, sigma_s, arr_0', example)
      .requiredOption('--input <path>', 'the pictures: a folder, an archive or an npz')
      .requiredOption('--out <file>', 'the reference: .npz'),
  )
    .addOption(
      integerOption('--pictures <n>', 'pictures kept for precision and recall, spread evenly; 0 for none', {
        min: 0,
        default: 10000,
      }),
    )
    .action(run);
}

async function run(options: StatsOptions): Promise<void> {
  const { input, out, layer: asked, workers, extractor: path } = options;
  if (!out.endsWith('.npz')) throw new ConfigError(expected('--out', 'a name ending in .npz', out));
  if (path === undefined) throw new ConfigError('--extractor: expected weights of a network, received none.');
  beginVerb(options);
  const started = performance.now();
  const side = options.size ?? (await sideOf(input, options));
  const spec = await storedSpec('--input', input, { ...options, side });
  const extractor = loadExtractor(path);
  const layer = asked ?? extractor.pooled;
  if (!Object.hasOwn(extractor.layers, layer)) {
    throw new ConfigError(expected('--layer', `one of ${Object.keys(extractor.layers).join(', ')}`, layer));
  }
  const spatial = extractor.spatial;
  const layers = spatial === undefined || spatial === layer ? [layer] : [layer, spatial];
  const job = { set: spec, extractor: path, layers, portion: Math.min(64, options.batch) };
  const set = await openSet(spec, job);
  const cache = await partialFolder(options);
  const report = progress(cache);
  const pass = await runPass(job, {
    cache,
    set,
    extractor,
    workers,
    onProgress: (done, of) => report('pictures', done, of),
  });
  log.done();
  const moments = await gather(pass.features(layer));
  const ofSpatial = layers.length > 1 ? await gather(pass.features(spatial!)) : undefined;
  const warnings = [
    ...pictureWarnings('pictures', pass),
    ...rankWarnings(extractor.distance, 'reference', pass.count, moments.mean.numel),
  ];
  for (const warning of warnings) log.warn(warning);
  const kept = spreadIndices(pass.count, options.pictures).map((place) => pass.indices[place]!);
  const spool = new Spool(out);
  try {
    for (const index of kept) spool.append((await set.read(index, 1)).images);
    const info = {
      extractor: { name: extractor.name, checksum: extractor.checksum, layer },
      count: pass.count,
      resize: extractor.resize,
      precision: 'fp32',
      set: set.details,
      digest: pass.digest,
    };
    const shape = [kept.length, set.height, set.width, 3];
    const pictures = kept.length === 0 ? undefined : { dtype: 'u8' as const, shape, pieces: spool.pieces() };
    saveReference(out, { moments, spatial: ofSpatial, pictures, info });
    const checksum = fileChecksum(out);
    const seconds = (performance.now() - started) / 1000;
    const result = {
      out,
      checksum,
      ...info,
      pictures: kept.length,
      spatial: ofSpatial !== undefined,
      warnings,
      seconds,
    };
    const text = `${out}, ${short(checksum)}: ${extractor.name} of ${count(pass.count)} pictures, ${count(kept.length)} of them kept; ${duration(seconds)}`;
    printResult(options, result, text);
  } finally {
    spool.dispose();
    set.close();
  }
  pass.dispose();
  dispose([moments, ofSpatial]);
  extractor.dispose();
}
