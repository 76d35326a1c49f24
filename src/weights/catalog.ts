// The published weights that rae-ts knows by name: the encoders of the paper, and nyu-visionx/RAE-collections, the reference
// implementation's decoders, statistics and generators (spec 1.1, 2, 14.1). Sizes are float32 parameters, so rounded; the hub says the
// exact one before a download. Licences are notes for orientation: the repository's own page decides.

import { nearest } from '../util/check.ts';

export interface CatalogEntry {
  kind: 'encoder' | 'rae' | 'decoder' | 'statistics' | 'generator' | 'guide' | 'discriminator';
  about: string;
  repo: string;
  /** A file or a folder; '' for the whole repository. */
  path: string;
  /** Bytes, where known. */
  size?: number;
  licence: string;
  /** Where the name goes in our commands. */
  use: string;
}

const RAE = 'nyu-visionx/RAE-collections';
const MB = 1e6;
const APACHE = 'Apache-2.0';
const OF_REPOSITORY = "see the repository's page (the reference code is MIT)";

export const catalog: Readonly<Record<string, CatalogEntry>> = {
  'dinov2-small-reg': encoder('DINOv2-S/14 with registers', 'facebook/dinov2-with-registers-small', 88 * MB),
  'dinov2-base-reg': encoder(
    "DINOv2-B/14 with registers: the paper's",
    'facebook/dinov2-with-registers-base',
    346 * MB,
  ),
  'dinov2-large-reg': encoder('DINOv2-L/14 with registers', 'facebook/dinov2-with-registers-large', 1218 * MB),
  'dinov2-giant-reg': encoder('DINOv2-g/14 with registers (SwiGLU)', 'facebook/dinov2-with-registers-giant', 4546 * MB),
  'dinov2-small': encoder('DINOv2-S/14', 'facebook/dinov2-small', 88 * MB),
  'dinov2-base': encoder('DINOv2-B/14', 'facebook/dinov2-base', 346 * MB),
  'dinov2-large': encoder('DINOv2-L/14', 'facebook/dinov2-large', 1218 * MB),
  'siglip2-base': encoder('SigLIP2-B/16 at 256 px', 'google/siglip2-base-patch16-256', 1500 * MB),
  'mae-base': {
    ...encoder('MAE ViT-B/16', 'facebook/vit-mae-base', 448 * MB),
    licence: "Apache-2.0 on the hub; the authors' own release is CC-BY-NC-4.0",
  },
  'rae-dinov2-base': rae('dinov2-base-reg, 256 px', 'dinov2-wReg-base-ViTXL-n08', 2007 * MB),
  'rae-dinov2-base-512': rae('dinov2-base-reg, 512 px', 'dinov2-wReg-base-ViTXL-n08-i512', 2011 * MB),
  'rae-dinov2-small': rae('dinov2-small-reg', 'dinov2-wReg-small-ViTXL-n08', 1748 * MB),
  'rae-dinov2-large': rae('dinov2-large-reg', 'dinov2-wReg-large-ViTXL-n08', 2881 * MB),
  'rae-siglip2-base': rae('siglip2-base', 'siglip2-base-p16-i256-ViTXL-n08', 2032 * MB),
  'rae-mae-base': rae('mae-base', 'mae-base-p16-ViTXL-n08', 2004 * MB),
  'decoder-dinov2-base': decoder('dinov2-base-reg, 256 px', 'dinov2/wReg_base/ViTXL_n08/model.pt'),
  'decoder-dinov2-base-512': decoder('dinov2-base-reg, 512 px', 'dinov2/wReg_base/ViTXL_n08_i512/model.pt'),
  'decoder-dinov2-small': decoder('dinov2-small-reg', 'dinov2/wReg_small'),
  'decoder-dinov2-large': decoder('dinov2-large-reg', 'dinov2/wReg_large'),
  'decoder-mae-base': decoder('mae-base, 256 px', 'mae/base_p16/ViTXL_n08/model.pt'),
  'decoder-siglip2-base': decoder('siglip2-base, 256 px', 'siglip2/base_p16_i256/ViTXL_n08/model.pt'),
  'stats-dinov2-base': statistics('dinov2-base-reg, 256 px', 'dinov2/wReg_base/imagenet1k/stat.pt', 787_533),
  'stats-dinov2-base-512': statistics('dinov2-base-reg, 512 px', 'dinov2/wReg_base/imagenet1k_512/stat.pt'),
  'stats-mae-base': statistics('mae-base', 'mae/base_p16/ImageNet1k/stat.pt'),
  'stats-siglip2-base': statistics('siglip2-base', 'siglip2/base_p16_i256/ImageNet1k/stat.pt'),
  'ditdh-xl-256': generator(
    'generator',
    'DiT^DH-XL, ImageNet at 256 px, 800 epochs',
    'ImageNet256/DiTDH-XL',
    3356 * MB,
  ),
  'ditdh-s-256': generator('guide', 'DiT^DH-S, 14 epochs: guide of ditdh-xl-256', 'ImageNet256/DiTDH-S_ep14'),
  'ditdh-xl-512': generator('generator', 'DiT^DH-XL, ImageNet at 512 px, 400 epochs', 'ImageNet512/DiTDH-XL_ep400'),
  'ditdh-s-512': generator('guide', 'DiT^DH-S, 20 epochs: guide of ditdh-xl-512', 'ImageNet512/DiTDH-S_ep20'),
  'dino-small-8': {
    kind: 'discriminator',
    about: "DINO ViT-S/8, the discriminator's frozen trunk",
    repo: RAE,
    path: 'discs/dino_vit_small_patch8_224.pth',
    size: 87 * MB,
    licence: APACHE,
    use: 'rae train rae --disc',
  },
};

/** The entry of this name. */
export function catalogEntry(name: string): CatalogEntry | undefined {
  return Object.hasOwn(catalog, name) ? catalog[name] : undefined;
}

/** The catalogue's name closest to `name`, for messages. */
export function nearestEntry(name: string): string | undefined {
  return nearest(name, Object.keys(catalog));
}

function encoder(about: string, repo: string, size: number): CatalogEntry {
  return {
    kind: 'encoder',
    about,
    repo,
    path: '',
    size,
    licence: APACHE,
    use: 'rae train rae --encoder, rae encode --model',
  };
}

/** Encoder, decoder and statistics in one, as diffusers' AutoencoderRAE (spec 14.1). */
function rae(over: string, name: string, size: number): CatalogEntry {
  const about = `encoder and ViT-XL decoder over ${over}, in diffusers' layout`;
  const use = 'rae reconstruct --model, rae encode --model, rae train dit --rae';
  return { kind: 'rae', about, repo: `nyu-visionx/RAE-${name}`, path: '', size, licence: OF_REPOSITORY, use };
}

function decoder(over: string, path: string): CatalogEntry {
  const about = `ViT-XL decoder over ${over}`;
  const use = 'pretrained_decoder_path of a configuration, rae reconstruct --weights';
  return { kind: 'decoder', about, repo: RAE, path: `decoders/${path}`, size: 1661 * MB, licence: OF_REPOSITORY, use };
}

function statistics(of: string, path: string, size?: number): CatalogEntry {
  const use = 'normalization_stat_path of a configuration, rae train dit --stats';
  const entry = { kind: 'statistics' as const, about: `ImageNet latents of ${of}`, repo: RAE, path: `stats/${path}` };
  return { ...entry, ...(size !== undefined && { size }), licence: OF_REPOSITORY, use };
}

function generator(kind: 'generator' | 'guide', about: string, folder: string, size?: number): CatalogEntry {
  const path = `DiTs/Dinov2/wReg_base/${folder}/stage2_model.pt`;
  const use = kind === 'guide' ? 'rae sample --guide' : 'stage_2.ckpt of a configuration, rae sample --weights';
  return { kind, about, repo: RAE, path, ...(size !== undefined && { size }), licence: OF_REPOSITORY, use };
}
