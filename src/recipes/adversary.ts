// The adversarial part of stage 1 as the paper trains it (its appendix C.2; spec 7), for a run of any length: of 16 epochs the discriminator
// is trained from the 6th on and the decoder against it from the 8th on. `rae train rae --disc` takes it where a configuration has none.

import type { RunConfigInput } from '../config/index.ts';

const EPOCHS = 16;

/** The section `gan` for a `training` section, in steps where that is in steps. */
export function paperAdversary({ steps, epochs = 200 }: NonNullable<RunConfigInput['training']> = {}) {
  const share = (of: number) => Math.round(((steps ?? 0) * of) / EPOCHS);
  const starts =
    steps === undefined
      ? { disc_upd_start: (epochs * 6) / EPOCHS, disc_start: (epochs * 8) / EPOCHS }
      : { disc_upd_start_step: share(6), disc_start_step: share(8) };
  const lengths =
    steps === undefined
      ? { warmup_epochs: epochs / EPOCHS, decay_end_epoch: epochs }
      : { warmup_steps: share(1), decay_end_steps: steps };
  return {
    disc: {
      arch: { ks: 9 },
      optimizer: { lr: 2e-4, betas: [0.9, 0.95] as [number, number] },
      scheduler: { type: 'cosine' as const, ...lengths, warmup_from_zero: true, final_lr: 2e-5 },
      augment: { prob: 1, cutout: 0 },
    },
    loss: { disc_weight: 0.75, ...starts },
  } satisfies RunConfigInput['gan'];
}
