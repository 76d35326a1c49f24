// What of a run is published, and under which names: the folder that modelParts reads (config.yaml and one safetensors file a
// part), without the optimiser, with a picture and a card. Paths of the machine it was trained on stay there.

import { existsSync, readdirSync } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';
import { formatConfig, type RunConfig } from '../config/index.ts';
import { readSafetensorsHeader } from '../io/safetensors.ts';
import { type MetricsRecord, readMetrics, runPaths } from '../runs/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { type ModelParts, modelParts } from './model-folder.ts';

/** A file to publish: one that exists, or text. */
export type PublishedFile = { name: string } & ({ path: string } | { text: string });

export interface Publication {
  stage: 'encoder' | 'rae' | 'dit';
  parts: ModelParts;
  /** The run's configuration and its RAE's, without places of the machine it was trained on. */
  config: RunConfig;
  raeConfig: RunConfig;
  files: PublishedFile[];
  /** Parameters of each network. */
  parameters: Readonly<Record<string, number>>;
  /** The last value of every figure, with its step. */
  metrics: Readonly<Record<string, { step: number; value: number }>>;
  /** Name of the picture among the files. */
  picture: string | undefined;
}

/** Gathers what to publish of the run at `path`. ConfigError when something is missing for others to use it. */
export function publication(path: string, { raw = false }: { raw?: boolean | undefined } = {}): Publication {
  const parts = modelParts(path, { raw, flag: 'weights put' });
  const { folder } = parts;
  const [config, raeConfig] = [withoutPlaces(parts.config), withoutPlaces(parts.raeConfig)];
  if (folder === undefined) {
    throw new ConfigError(
      expected('weights put', 'a run directory, or one of its checkpoints', path, 'Train with `rae train`.'),
    );
  }
  const stage = config.mae ? 'encoder' : config.stage_2 ? 'dit' : 'rae';
  const needed = { encoder: ['encoder'], rae: ['encoder', 'decoder'], dit: ['encoder', 'decoder', 'dit'] }[stage];
  const files: PublishedFile[] = [{ name: 'config.yaml', text: formatConfig(config) }];
  if (stage === 'dit') files.push({ name: 'rae.yaml', text: formatConfig(raeConfig) });
  const parameters: Record<string, number> = {};
  for (const part of ['encoder', 'decoder', 'stats', 'dit'] as const) {
    const file = parts[part];
    if (stage === 'encoder' ? part !== 'encoder' : file === undefined) {
      if (!needed.includes(part)) continue;
      throw new ConfigError(`weights put: expected a run with a trained ${part}, received '${path}' without one.`);
    }
    const count = elements(file!);
    if (part !== 'stats') parameters[part] = count;
    files.push({ name: `${part}.safetensors`, path: file! });
  }
  if (parts.classes) files.push({ name: 'classes.json', text: `${JSON.stringify(parts.classes)}\n` });
  const picture = newestPicture(folder, parts.step);
  if (picture !== undefined) files.push({ name: 'samples.png', path: picture });
  return {
    stage,
    parts,
    config,
    raeConfig,
    files,
    parameters,
    metrics: lastFigures(folder, parts.step),
    picture: picture && 'samples.png',
  };
}

/** Parameters of a safetensors file. ConfigError for any other, which `--model` would not find under this name. */
function elements(file: string): number {
  if (!file.endsWith('.safetensors') || !existsSync(file)) {
    throw new ConfigError(
      expected('weights put', 'parts as safetensors files in the run', file, 'Convert it first with `rae convert`.'),
    );
  }
  return [...readSafetensorsHeader(file).tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
}

/** A copy in which absolute paths are names: nothing of the trainer's disk is told to the world. */
function withoutPlaces(config: RunConfig): RunConfig {
  const bare = (value: unknown): unknown => {
    if (typeof value === 'string') return isAbsolute(value) ? basename(value) : value;
    if (Array.isArray(value)) return value.map(bare);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bare(inner)]));
  };
  return bare(config) as RunConfig;
}

function newestPicture(folder: string, step: number | undefined): string | undefined {
  const { samples } = runPaths(folder);
  if (!existsSync(samples)) return undefined;
  const drawn = readdirSync(samples)
    .filter((name) => /^step-\d+\.png$/.test(name))
    .sort();
  const upTo = drawn.filter((name) => step === undefined || Number(name.slice(5, -4)) <= step);
  const name = upTo.at(-1) ?? drawn[0];
  return name && join(samples, name);
}

const NO_QUALITY = /^(step|epoch|samples|grad_norm|images_per_second)$|(^|\/)lr(\/|$)/;

function lastFigures(folder: string, step: number | undefined): Publication['metrics'] {
  const figures: Record<string, { step: number; value: number }> = {};
  const isKept = (line: MetricsRecord) => step === undefined || line.step <= step;
  for (const line of readMetrics(runPaths(folder).metrics).filter(isKept)) {
    for (const [name, value] of Object.entries(line)) {
      if (typeof value === 'number' && !NO_QUALITY.test(name)) figures[name] = { step: line.step, value };
    }
  }
  return figures;
}
