// rae train encoder|rae|dit: the three training stages. Configuration comes from --config, --recipe or the stage's default recipe;
// flags and --set change it; --resume takes the run's own. What the run needs later (encoder, decoder, statistics, weights of the losses) is
// copied into its folder, so that the folder and the pictures are enough to go on or to sample.

import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { RunConfigInput } from '../config/index.ts';
import { applyOverrides, ignoredKeys, type RunConfig, readConfigFile, resolveUnknown } from '../config/index.ts';
import { paperAdversary } from '../recipes/adversary.ts';
import { recipe } from '../recipes/index.ts';
import { setThreads } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { makeFolder, writing } from '../util/storage.ts';
import { integerOption, listOption, printResult, type VerbOptions, verb } from './shared.ts';

export interface TrainOptions extends VerbOptions {
  config?: string;
  recipe?: string;
  data?: string;
  evalData?: string;
  /** A cache of latents, for stage 2. */
  latents?: string;
  evalLatents?: string;
  /** A picture to be learned by heart, instead of a run. */
  overfit?: string;
  out: string;
  resume?: boolean;
  set?: string[];
  encoder?: string;
  rae?: string;
  stats?: string;
  lpips?: string;
  disc?: string;
  precision?: 'fp32' | 'bf16';
  seed?: number;
  threads?: number;
  steps?: number;
  /** Stop after so many seconds of training. */
  seconds?: number;
  /** Say what a step takes, and train nothing. */
  estimate?: boolean;
  /** Do not hold the estimate against the machine's memory. */
  anySize?: boolean;
}

type Stage = 'encoder' | 'rae' | 'dit';

/** What --resume may still change: how often things are written, not what is computed. */
const HARMLESS =
  /^(training\.(log_interval|sample_every|checkpoint_interval|checkpoint_every|keep_checkpoints|num_workers|activation_checkpointing)|eval\..*|data\.(path|eval_path|latents|eval_latents))$/;

export function command(): Command {
  const train = new Command('train')
    .description('train an encoder, an RAE (stage 1) or a diffusion transformer (stage 2)')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nExample:\n  rae train rae --encoder dinov2-base-reg --data photos --out runs/rae\n  rae train dit --rae runs/rae --data photos --out runs/dit',
    );
  train.addCommand(
    stage(
      'encoder',
      'pretrain an encoder on your pictures (masked autoencoder)',
      'rae train encoder --data photos --out runs/encoder',
    ),
  );
  train.addCommand(
    stage(
      'rae',
      'stage 1: train the decoder over a frozen encoder',
      'rae train rae --encoder runs/encoder --data photos --out runs/rae',
    )
      .option(
        '--encoder <path>',
        "weights of the encoder: a file, a Hugging Face folder, a name of 'rae weights', a run of 'train encoder', or 'embedded'",
      )
      .option('--lpips <file>', 'weights of LPIPS (or network,heads in two files); without them the loss is L1 alone')
      .option(
        '--disc <path>',
        "the discriminator's frozen trunk: DINO's weights, any encoder, or 'encoder' for the run's own; turns the adversarial loss on",
      ),
  );
  train.addCommand(
    stage(
      'dit',
      'stage 2: train a diffusion transformer on the latents',
      'rae train dit --rae runs/rae --data photos --out runs/dit',
    )
      .option('--rae <path>', "the trained RAE: a run of 'train rae', or 'embedded'")
      .option('--stats <file>', 'statistics of the latents (default: computed first, exactly)')
      .option('--latents <folder>', 'latents of `rae encode --cache` instead of --data: nothing is encoded')
      .option('--eval-latents <folder>', 'held-out ones')
      .option(
        '--overfit <image>',
        "no run, but a table: can generators narrower than the tokens, as wide and wider learn this one picture? ('embedded': a drawn one)",
      ),
  );
  return train;
}

function stage(name: Stage, description: string, example: string): Command {
  return verb(name, description, example)
    .option('--config <file>', 'a configuration (YAML); the reference implementation writes the same')
    .option('--recipe <name>', `a known configuration (rae recipes); default photos-${name}`)
    .option('--data <path>', 'pictures: one sub-folder per class, a flat folder, or archives (README)')
    .option('--eval-data <path>', 'held-out pictures, likewise')
    .option('--out <folder>', 'run directory')
    .option('--resume', "go on from the run's newest checkpoint, with its own configuration")
    .addOption(listOption('--set <key=value>', 'change one value of the configuration (repeatable)'))
    .option('--estimate', 'say what parameters, memory and arithmetic a step takes; train nothing')
    .option('--any-size', 'train even what the estimate says will not fit into memory')
    .addOption(new Option('--precision <p>', 'arithmetic of the networks').choices(['fp32', 'bf16']))
    .addOption(integerOption('--seed <n>', 'seed of weights, data order and noise', { min: 0 }))
    .addOption(integerOption('--threads <n>', 'CPU threads', { min: 1 }))
    .addOption(
      integerOption(
        '--steps <n>',
        "stop when the global step reaches n (the schedule's length is the configuration's)",
        { min: 1 },
      ),
    )
    .action((options: TrainOptions) => run(name, options));
}

async function run(name: Stage, options: TrainOptions): Promise<void> {
  if (options.json) log.quiet = true;
  if (options.threads !== undefined) setThreads(options.threads);
  if (options.estimate) return printEstimate(name, options);
  if (!options.out) throw new ConfigError(expected('--out', 'the folder of the run', options.out ?? 'none'));
  const config = options.resume ? resumedConfig(options) : freshConfig(name, options);
  checkStage(name, config);
  for (const sentence of ignoredKeys(config)) log.warn(sentence);
  if (options.overfit !== undefined) {
    const { runOverfit } = await import('./train-overfit.ts');
    return runOverfit(config, options);
  }
  const { trainStage } = await import('./train-stage.ts');
  const result = await trainStage(name, config, options);
  printResult(options, result, `next: ${result.next}`);
}

async function printEstimate(name: Stage, options: TrainOptions): Promise<void> {
  const config = freshConfig(name, options);
  checkStage(name, config);
  const { estimateOf, estimateText, raeSizes } = await import('./estimate.ts');
  const { openPictures } = await import('../train/sources.ts');
  const { path, synthetic } = config.data;
  const pictures = name === 'dit' && (path !== undefined || synthetic) ? await openPictures(config) : undefined;
  const classes = config.misc.num_classes === 0 ? 0 : pictures?.train.classes.length;
  const estimate = estimateOf(config, { rae: config.stage_2 && raeSizes(config, options.rae), classes });
  printResult(options, estimate, estimateText(config, estimate));
}

/** Flags that a resumed run takes from its own configuration and folder. */
const FIXED = ['config', 'recipe', 'encoder', 'rae', 'stats', 'lpips', 'disc', 'precision', 'seed'] as const;

function resumedConfig({ out, set = [], data, evalData, latents, evalLatents, ...options }: TrainOptions): RunConfig {
  const path = join(out, 'config.yaml');
  if (!existsSync(path))
    throw new ConfigError(
      expected('--resume', `a run in '${out}'`, 'a folder without config.yaml', 'Leave --resume out to begin one.'),
    );
  const fixed = FIXED.find((flag) => options[flag] !== undefined);
  if (fixed !== undefined) {
    throw new ConfigError(
      `--${fixed}: expected none with --resume, which goes on as '${out}' was begun, received one. Leave it out, or begin a new run.`,
    );
  }
  for (const assignment of set) {
    const key = assignment.split('=')[0]!.trim();
    if (!HARMLESS.test(key)) {
      throw new ConfigError(
        `--set ${key}: expected a value that cannot change the numbers of a resumed run, received one that can. Begin a new run for it.`,
      );
    }
  }
  const places = { path: data, eval_path: evalData, latents, eval_latents: evalLatents };
  const moved = Object.entries(places).flatMap(([key, value]) =>
    value === undefined ? [] : [`data.${key}=${JSON.stringify(value)}`],
  );
  return resolveUnknown(applyOverrides(readConfigFile(path), [...moved, ...set]), { name: path });
}

function freshConfig(name: Stage, options: TrainOptions): RunConfig {
  if (options.config && options.recipe)
    throw new ConfigError('--config, --recipe: expected one of them, received both.');
  const base: RunConfigInput | Record<string, unknown> = options.config
    ? readConfigFile(options.config)
    : recipe(options.recipe ?? `photos-${name}`);
  const flags: [string, string | number | undefined][] = [
    ['data.path', options.data],
    ['data.eval_path', options.evalData],
    ['data.latents', options.latents],
    ['data.eval_latents', options.evalLatents],
    ['training.precision', options.precision],
    ['training.global_seed', options.seed],
    ['stage_1.params.encoder_config_path', options.encoder],
    ['losses.lpips_file', options.lpips],
    ['gan.disc.arch.dino_ckpt_path', options.disc],
    ['stage_1.params.normalization_stat_path', options.stats],
  ];
  const given = flags.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${JSON.stringify(value)}`]));
  const input = applyOverrides(withLatents(withAdversary(base, options), options), [...given, ...(options.set ?? [])]);
  const config = resolveUnknown(input, { name: options.config ?? `recipe ${options.recipe ?? `photos-${name}`}` });
  const { path, synthetic, latents } = config.data;
  const needed = options.overfit === undefined && !options.estimate;
  if (needed && path === undefined && synthetic === undefined && latents === undefined) {
    throw new ConfigError(
      expected('--data', 'a folder of pictures', 'none', 'Name one, or take an embedded-* recipe.'),
    );
  }
  return config;
}

/** Sections tell the stage: mae that of an encoder, stage_2 that of a generator. */
function checkStage(name: Stage, { mae, stage_2 }: RunConfig): void {
  if ((name === 'encoder') === (mae !== undefined) && (name === 'dit') === (stage_2 !== undefined)) return;
  const other = mae ? 'encoder' : stage_2 ? 'dit' : 'rae';
  throw new ConfigError(
    `train ${name}: expected a configuration for this stage, received one for 'train ${other}'. See \`rae recipes\`.`,
  );
}

/** With --latents, which take the place of the pictures that the configuration names. */
function withLatents(input: Record<string, unknown>, { latents }: TrainOptions): Record<string, unknown> {
  if (latents === undefined) return input;
  const { path: _, eval_path: __, synthetic: ___, ...data } = (input.data ?? {}) as Record<string, unknown>;
  return { ...input, data };
}

/** With --disc and no section gan, the paper's, for the run's length; starts that --set gives in epochs take the place of its steps. */
function withAdversary(base: RunConfigInput | Record<string, unknown>, { disc, set = [] }: TrainOptions) {
  const input = base as Record<string, unknown>;
  if (disc === undefined || input.gan !== undefined) return input;
  const gan = paperAdversary(applyOverrides(input, set).training as RunConfigInput['training']);
  const inEpochs = (key: string) =>
    set.some((assignment) => assignment.startsWith(`gan.loss.${key.replace('_step', '')}=`));
  const loss = Object.fromEntries(Object.entries(gan.loss).filter(([key]) => !inEpochs(key)));
  return { ...input, gan: { ...gan, loss } };
}

/** Copies a file that the run needs later into its folder, whole or not at all; a resumed run keeps the one it has. */
export function adopt(from: string, { out, resume }: Pick<TrainOptions, 'out' | 'resume'>, name: string): string {
  const target = join(out, name);
  if (resume && existsSync(target)) return target;
  makeFolder(out);
  const temporary = join(out, `.${name}.${process.pid}.tmp`);
  writing(target, () => copyFileSync(from, temporary));
  renameSync(temporary, target);
  return target;
}
