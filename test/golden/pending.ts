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
    disc: 'the discriminator',
    'spectral-conv1d': 'the discriminator',
    'stage1-trajectory': 'the discriminator',
  },
  metrics: {
    'inception-keys': 'Inception',
    inception: 'Inception',
    'rfid-pipeline': 'rFID',
  },
};
