// Tiny training runs on the embedded set for the end-to-end tests: real verbs, real files, a few steps.

import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { main } from '../../src/cli/main.ts';
import { latestCheckpoint } from '../../src/runs/index.ts';
import { log } from '../../src/util/log.ts';

/**
 * The stages, and stage 1 with its adversary in all three phases: before it, its updates alone from step 2, the game from step 4;
 * `accumulated` is that in bf16 and in four micro-batches a step. `online` is stage 2 likewise, with several averages; `cached` is that on the
 * cache that `cacheArguments` make.
 */
export type Stage = 'encoder' | 'rae' | 'adversarial' | 'accumulated' | 'dit' | 'online' | 'cached';

/** What `rae train` calls the stage. */
export const verbOf = (stage: Stage) =>
  ({ adversarial: 'rae', accumulated: 'rae', online: 'dit', cached: 'dit' })[stage as string] ?? stage;

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'rae-e2e-'));
}

/** Settings that make a recipe small: 16 pictures a batch, everything often. */
const SMALL = set(
  'training.global_batch_size=16',
  'training.log_interval=2',
  'training.sample_every=4',
  'training.checkpoint_every=3',
  'training.keep_checkpoints=0',
);

const PICTURES = set('data.synthetic.train_size=64', 'data.synthetic.eval_size=16');

function set(...values: string[]): string[] {
  return values.flatMap((value) => ['--set', value]);
}

/** How `online` and `cached` run, beside where their latents come from. */
export const CACHED = [
  ...['--precision', 'bf16'],
  ...set('training.grad_accum_steps=4', 'data.flip=true', 'training.ema_decays=[0.5,0.9]'),
  ...set('eval.eval_model=true', 'eval.frechet_samples=4'),
];

/** Arguments of `rae` that begin a small run of a stage; the stages before it are `folder`/encoder and `folder`/rae. */
export function trainArguments(stage: Stage, folder: string, out: string, more: readonly string[] = []): string[] {
  const rae = [
    '--encoder',
    join(folder, 'encoder'),
    ...set('stage_1.params.decoder_config.decoder_num_hidden_layers=2'),
  ];
  const adversarial = [
    ...rae,
    ...['--disc', 'encoder'],
    ...set('gan.loss.disc_upd_start_step=2', 'gan.loss.disc_start_step=4', 'training.keep_best=eval_ema/psnr'),
    ...set('gan.disc.arch.key_depths=[0]', 'eval.eval_interval=3'),
  ];
  const dit = [
    ...['--rae', join(folder, 'rae')],
    ...set('stage_2.params.depth=[2,1]', 'sampler.params.num_steps=3', 'eval.eval_interval=4'),
  ];
  const input = {
    encoder: ['--set', 'mae.num_hidden_layers=2'],
    rae,
    adversarial,
    accumulated: [...adversarial, '--precision', 'bf16', ...set('training.grad_accum_steps=4')],
    dit,
    online: [...dit, ...CACHED],
    cached: [...dit, ...['--latents', join(folder, 'latents'), '--eval-latents', join(folder, 'held-out')], ...CACHED],
  }[stage];
  const verb = verbOf(stage);
  const pictures = stage === 'cached' ? [] : PICTURES;
  return [
    'train',
    verb,
    '--recipe',
    `embedded-${verb}`,
    '--out',
    out,
    '--threads',
    '1',
    ...input,
    ...pictures,
    ...SMALL,
    ...more,
  ];
}

/** Arguments of `rae` that cache the latents of the pictures of `folder`/rae, trained on and held out. */
export function cacheArguments(folder: string): string[][] {
  const encode = ['encode', '--model', join(folder, 'rae'), '--threads', '1', '--flips'];
  return [
    [...encode, '--cache', join(folder, 'latents')],
    [...encode, '--cache', join(folder, 'held-out'), '--input', 'embedded'],
  ];
}

/** Runs `rae` in this process; throws unless it exits with `code`. */
export async function rae(args: readonly string[], code = 0): Promise<void> {
  log.quiet = true;
  const got = await main(args);
  if (got !== code) throw new Error(`rae ${args.join(' ')}: expected exit code ${code}, received ${got}`);
}

/** Everything a run has computed, as bytes: weights, averages, optimisers, state, logged figures without times. */
export function outcome(run: string): Record<string, string> {
  const { path } = latestCheckpoint(run)!;
  const names = readdirSync(path).filter((name) => name.endsWith('.safetensors'));
  const files = names.map((name) => [name, readFileSync(join(path, name)).toString('base64')] as const);
  const metrics = readFileSync(join(run, 'metrics.jsonl'), 'utf8').replace(/"images_per_second":[^,}]*/g, '');
  return { ...Object.fromEntries(files), state: readFileSync(join(path, 'state.json'), 'utf8'), metrics };
}
