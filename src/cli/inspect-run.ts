// A run directory in a few lines: what was trained, how far, from what, with which figures last.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, type RunConfig } from '../config/index.ts';
import { modelParts } from '../inference/model-folder.ts';
import { listCheckpoints, type MetricsRecord, readMetrics, runPaths } from '../runs/index.ts';
import { bytes, count, figure, table } from '../util/format.ts';
import { countElements, listTensors } from './inspect-file.ts';

export interface RunDescription {
  path: string;
  stage: 'encoder' | 'rae' | 'dit';
  what: string;
  parameters: number | undefined;
  /** Steps of the checkpoints, oldest first. */
  checkpoints: number[];
  steps: number | undefined;
  data: string;
  imageSize: number;
  parts: { name: string; size: number }[];
  classes: string[] | undefined;
  lastMetrics: MetricsRecord | undefined;
  next: string;
}

/** Describes the run (or folder of final weights) at `path`; `given` is how its user named it. */
export function describeRun(path: string, given: string): RunDescription {
  const config = loadConfig(join(path, 'config.yaml'));
  const stage = config.mae ? 'encoder' : config.stage_2 ? 'dit' : 'rae';
  const checkpoints = listCheckpoints(path);
  const parts = modelParts(given);
  const trained = stage === 'encoder' ? parts.encoder : stage === 'rae' ? parts.decoder : parts.dit;
  const names = ['encoder', 'decoder', 'stats', 'dit', 'lpips'].map((name) => `${name}.safetensors`);
  const newest = checkpoints.at(-1)?.path;
  const files = [
    ...names.map((name) => join(path, name)),
    ...(newest === undefined ? [] : ['model', 'ema', 'optimizer'].map((name) => join(newest, `${name}.safetensors`))),
  ].filter((file) => existsSync(file));
  return {
    path: given,
    stage,
    what: whatIs(config, stage),
    parameters: trained !== undefined && existsSync(trained) ? countElements(listTensors(trained).tensors) : undefined,
    checkpoints: checkpoints.map(({ step }) => step),
    steps: config.training.steps,
    data: config.data.synthetic ? 'the embedded set' : (config.data.path ?? 'none named'),
    imageSize: config.data.image_size,
    parts: files.map((file) => ({ name: file.slice(path.length).replace(/^\//, ''), size: statSync(file).size })),
    classes: parts.classes,
    lastMetrics: readMetrics(runPaths(path).metrics).at(-1),
    next: {
      encoder: `rae train rae --encoder ${given} --data PICTURES --out RUN`,
      rae: `rae reconstruct --model ${given} --input PICTURES --out recon.png`,
      dit: `rae sample --model ${given} --out samples.png`,
    }[stage],
  };
}

/** The description as its user should read it. */
export function runText(run: RunDescription): string {
  const { parameters, checkpoints, steps, classes, lastMetrics } = run;
  const rows = [
    ['what', `${run.what}${parameters === undefined ? '' : `, ${count(parameters)} parameters`}`],
    ['pictures', `${run.data}, ${run.imageSize} x ${run.imageSize}`],
    ...(classes
      ? [['classes', `${classes.length}: ${classes.slice(0, 12).join(', ')}${classes.length > 12 ? ', ...' : ''}`]]
      : []),
    [
      'checkpoints',
      checkpoints.length === 0
        ? 'none: final weights'
        : `steps ${checkpoints.join(', ')}${steps === undefined ? '' : ` of ${steps}`}`,
    ],
    ...(lastMetrics ? [['last figures', metricsText(lastMetrics)]] : []),
    ...run.parts.map(({ name, size }) => ['file', `${name}, ${bytes(size)}`]),
    ['next', run.next],
  ];
  return `${run.path}\n${table(rows)}`;
}

function whatIs(config: RunConfig, stage: RunDescription['stage']): string {
  if (stage === 'encoder') return 'encoder, pretrained as a masked autoencoder';
  if (stage === 'rae') return `RAE (stage 1) over ${config.stage_1.params.encoder_cls}`;
  return `${config.stage_2!.target.split('.').at(-1)} (stage 2) on latents [${config.misc.latent_size?.join(', ')}]`;
}

function metricsText({ step, ...figures }: MetricsRecord): string {
  const shown = Object.entries(figures).flatMap(([name, value]) =>
    typeof value === 'number' && !['epoch', 'samples'].includes(name) ? [`${name} ${figure(value)}`] : [],
  );
  return `step ${step}: ${shown.join(', ')}`;
}
