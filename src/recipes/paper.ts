// Stage 1 as the paper trains it (its table 12; spec 7): a ViT-XL decoder at 256 px over each of its encoders, L1 + LPIPS + adversary, on
// ImageNet; and a smaller one for a single GPU of 24 GB. The encoders are published (rae weights get NAME), as are the weights of LPIPS and
// of the discriminator's trunk, DINO-S/8, which the reference's files name.
//   rae train rae --recipe dinov2-rae --encoder DINOV2-B --lpips VGG --disc DINO_S8 --data IMAGENET --out runs/dinov2-rae
//   rae train rae --recipe siglip2-rae | mae-rae | gpu24-rae, likewise; rae train rae --recipe ... --estimate says what a step takes
// Hardware and time: the paper's machines were TPUs, its GPU code takes batches of 512 over 8 GPUs; on one device set
// training.grad_accum_steps. rae does not train on GPUs yet: none of these was run here to its end.
// Memory and arithmetic by --estimate, for CPUs: ViT-XL in 32 micro-batches of 16 with bf16 and activation checkpointing 13.5 GB and 0.85 PFLOP a
// step of 512; gpu24-rae 6.5 GB and 78 TFLOP a step of 128. 16 epochs of ImageNet are 40,000 steps of 512.
// Expected scores, all the paper's: rFID on ImageNet-256 0.49 (DINOv2-B), 0.53 (SigLIP2-B), 0.16 (MAE-B) without latent noise; with tau 0.8, as
// here, 0.57 (DINOv2-B); PSNR about 18.9 dB. With a ViT-B decoder, as gpu24-rae, 0.58 without noise.

import type { RunConfigInput } from '../config/index.ts';
import { paperAdversary } from './adversary.ts';

interface EncoderChoice {
  encoder_cls: 'Dinov2withNorm' | 'SigLIP2wNorm' | 'MAEwNorm';
  encoder_config_path: string;
  /** 16 x 16 tokens, whatever the patch. */
  encoder_input_size: number;
}

const EPOCHS = 16;

const DINOV2: EncoderChoice = {
  encoder_cls: 'Dinov2withNorm',
  encoder_config_path: 'facebook/dinov2-with-registers-base',
  encoder_input_size: 224,
};

function paper(encoder: EncoderChoice, decoder: 'ViTB' | 'ViTXL', training: RunConfigInput['training'] = {}) {
  const length = { epochs: EPOCHS };
  return {
    stage_1: {
      params: { ...encoder, decoder_config_path: decoder, decoder_patch_size: 16, noise_tau: 0.8 },
    },
    data: { image_size: 256 },
    gan: paperAdversary(length),
    training: {
      ...length,
      global_batch_size: 512,
      optimizer: { lr: 2e-4, betas: [0.9, 0.95] as [number, number] },
      scheduler: {
        type: 'cosine' as const,
        warmup_epochs: 1,
        warmup_from_zero: true,
        decay_end_epoch: EPOCHS,
        final_lr: 2e-5,
      },
      ema_decay: 0.9978,
      clip_grad: 0,
      log_interval: 100,
      sample_every: 2500,
      checkpoint_interval: 1,
      ...training,
    },
    eval: { eval_interval: 2500, eval_model: true },
  } satisfies RunConfigInput;
}

/** DINOv2-B with registers, patches of 14 at 224 px: the paper's default. */
export const dinov2Rae = (): RunConfigInput => paper(DINOV2, 'ViTXL');

export const siglip2Rae = (): RunConfigInput =>
  paper(
    {
      encoder_cls: 'SigLIP2wNorm',
      encoder_config_path: 'google/siglip2-base-patch16-256',
      encoder_input_size: 256,
    },
    'ViTXL',
  );

export const maeRae = (): RunConfigInput =>
  paper({ encoder_cls: 'MAEwNorm', encoder_config_path: 'facebook/vit-mae-base', encoder_input_size: 256 }, 'ViTXL');

/** The same over DINOv2-B for one GPU of 24 GB: decoder ViT-B, batches of 128 in micro-batches of 16, bf16, blocks computed again backward. */
export const gpu24Rae = (): RunConfigInput =>
  paper(DINOV2, 'ViTB', {
    global_batch_size: 128,
    grad_accum_steps: 8,
    precision: 'bf16',
    activation_checkpointing: true,
  });
