// The adversary of stage 1 as the configuration's `gan` section describes it (spec 5 to 7): the discriminator over its frozen trunk, its own
// optimiser and schedule, its random numbers, and the steps at which it and the generator's term begin.

import type { RunConfig } from '../config/index.ts';
import type { DiffAugmentOptions } from '../losses/diff-augment.ts';
import { type DiscriminatorTerms, discriminatorTerms } from '../losses/gan.ts';
import { Discriminator } from '../models/discriminator.ts';
import type { EncoderSpec } from '../models/encoders/index.ts';
import type { ViT } from '../models/vit.ts';
import { AdamW, adamWOptions, type LrSchedule, lrSchedule, lrScheduleOptions } from '../optim/index.ts';
import { Generator, type Tensor } from '../tensor/index.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { type Counted, checkRates, type Schedule } from './schedule.ts';

/** A frozen network whose patch tokens the discriminator judges by: any encoder. */
export interface Trunk {
  vit: ViT;
  spec: Pick<EncoderSpec, 'mean' | 'std'>;
}

/** The steps from which each part of the training takes place. */
export interface Starts {
  lpips: number;
  /** Updates of the discriminator. */
  discriminator: number;
  /** The adversarial term of the generator. */
  adversarial: number;
}

export interface Adversary {
  disc: Discriminator;
  params: [string, Tensor][];
  optimizer: AdamW;
  /** The rate of the n-th update of the discriminator, not of the n-th step. */
  lr: LrSchedule;
  /** Updates a step. */
  updates: number;
  terms: DiscriminatorTerms;
  /** Weight of the adversarial term beside the adaptive one, and the limit of that. */
  weight: number;
  maxWeight: number;
  augment: DiffAugmentOptions;
  /** What augmentation draws from: apart from the latent noise, which so is the same with and without an adversary. */
  generator: Generator;
}

type Gan = NonNullable<RunConfig['gan']>;

/** Builds the discriminator, its heads drawn from the run's seed. ConfigError where it cannot see pictures of data.image_size. */
export function openAdversary(
  config: RunConfig,
  gan: Gan,
  trunk: Trunk | undefined,
  { stepsPerEpoch }: Schedule,
): Adversary {
  if (trunk === undefined) {
    const next = "Name one, give the run's own with --disc encoder, or leave the section gan out.";
    throw new ConfigError(expected('--disc', "the trunk's weights for the section gan", 'none', next));
  }
  const { arch, optimizer, scheduler, augment } = gan.disc;
  const { patch, depth } = trunk.vit.options;
  const keyDepths = arch.key_depths ?? quarters(depth);
  const { image_size } = config.data;
  if (!arch.resize && image_size % patch !== 0) {
    const what = `true, or pictures of a multiple of the trunk's patch ${patch}`;
    throw new ConfigError(expected('gan.disc.arch.resize', what, `false with pictures of ${image_size}`));
  }
  if (keyDepths.some((at) => at >= depth)) {
    const what = `blocks of the trunk, 0 to ${depth - 1}`;
    throw new ConfigError(expected('gan.disc.arch.key_depths', what, keyDepths, 'Leave them out for its quarters.'));
  }
  if (arch.norm_type === 'gn' && trunk.vit.options.width % 32 !== 0) {
    const what = `bn, or gn over a trunk whose width is a multiple of its 32 groups`;
    throw new ConfigError(expected('gan.disc.arch.norm_type', what, `gn over ${trunk.vit.options.width} channels`));
  }
  const seed = config.training.global_seed;
  const disc = new Discriminator({
    trunk: trunk.vit,
    keyDepths,
    kernel: arch.ks,
    norm: arch.norm_type,
    spectral: arch.using_spec_norm,
    eps: arch.norm_eps,
    resize: arch.resize,
    mean: trunk.spec.mean,
    std: trunk.spec.std,
    generator: new Generator(seed),
  }).eval();
  const params = disc.namedParameters();
  return {
    disc,
    params,
    optimizer: new AdamW(params, adamWOptions({ optimizer })),
    lr: lrSchedule(lrScheduleOptions({ optimizer, scheduler }, stepsPerEpoch)),
    updates: gan.loss.disc_updates,
    terms: discriminatorTerms[gan.loss.disc_loss],
    weight: gan.loss.disc_weight,
    maxWeight: gan.loss.max_d_weight,
    augment,
    generator: new Generator(seed + 1),
  };
}

/** When everything begins. ConfigError for a part that would begin after the run's end, or an adversarial term without updates before it. */
export function startsOf(
  { gan }: Pick<RunConfig, 'gan'>,
  { stepsPerEpoch, end }: Pick<Schedule, 'stepsPerEpoch' | 'end'>,
): Starts {
  if (gan === undefined) return { lpips: 0, discriminator: end, adversarial: end };
  const { loss } = gan;
  const begin = (name: 'lpips_start' | 'disc_upd_start' | 'disc_start') => {
    const step = loss[`${name}_step`] ?? Math.round(loss[name] * stepsPerEpoch);
    if (step < end) return step;
    throw new ConfigError(
      expected(
        `gan.loss.${name}`,
        `a step before the run's end ${end}`,
        step,
        `Train longer, or set gan.loss.${name}_step.`,
      ),
    );
  };
  const starts = {
    lpips: begin('lpips_start'),
    discriminator: begin('disc_upd_start'),
    adversarial: begin('disc_start'),
  };
  checkRates('gan.disc.scheduler', gan.disc.scheduler, updatesOf(gan, starts, { stepsPerEpoch, end }));
  if (starts.adversarial < starts.discriminator) {
    const what = `at least disc_upd_start (step ${starts.discriminator}), so that the discriminator has learnt something`;
    throw new ConfigError(expected('gan.loss.disc_start', what, starts.adversarial));
  }
  return starts;
}

/** The discriminator's updates, which alone its schedule counts. */
function updatesOf(
  { loss }: Gan,
  { discriminator }: Starts,
  { stepsPerEpoch, end }: Pick<Schedule, 'stepsPerEpoch' | 'end'>,
): Counted {
  return { stepsPerEpoch, steps: (end - discriminator) * loss.disc_updates };
}

/** The last block of each quarter of the trunk: 2, 5, 8, 11 of 12, as the reference has it. */
function quarters(depth: number): number[] {
  return [...new Set([1, 2, 3, 4].map((i) => Math.max(0, Math.floor((i * depth) / 4) - 1)))];
}
