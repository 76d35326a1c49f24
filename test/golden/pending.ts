// Kinds of fixtures whose code does not exist yet, with the reason. This list only shrinks: a kind that a golden test
// handles must be taken off it, and a kind that is neither handled nor listed here fails.

/** area -> kind -> what it waits for. */
export const pending: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  models: {
    checkpoints: 'torch pickles',
    diffusers: 'diffusers folders',
  },
  formats: {
    'torch-pickle': 'torch pickles',
    sharded: 'sharded checkpoints',
    official: 'torch pickles',
    other: 'resuming from the reference checkpoints',
  },
  training: {
    'batchnorm-local': 'the discriminator',
    diffaug: 'the discriminator',
    disc: 'the discriminator',
    'gan-losses': 'the discriminator',
    'lpips-official': 'LPIPS over VGG16',
    'lpips-package': 'LPIPS over AlexNet and VGG16',
    'spectral-conv1d': 'the discriminator',
    'stage1-trajectory': 'the discriminator',
  },
  metrics: {
    'fid-moments': 'FID',
    'fid-features': 'FID',
    'inception-score': 'Inception Score',
    'precision-recall': 'precision and recall',
    kid: 'KID',
    'psnr-ssim': 'PSNR and SSIM',
    'linear-probe': 'the linear probe',
    knn: 'the nearest-neighbour probe',
    'inception-keys': 'Inception',
    inception: 'Inception',
    'rfid-pipeline': 'rFID',
  },
};
